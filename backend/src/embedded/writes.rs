//! What changes the file: each call is one transaction.

use super::file::{StateFile, failed};
use super::layout::{self, Record};
use super::sets::OpenRun;
use super::tables;
use crate::limits;
use crate::{Command, Commit, Committed, Created, Definition, Epoch, NewRun, Shard, StoreError};
use darkroom_proto::RunId;
use redb::{ReadableTable, Table, WriteTransaction};

type Bytes<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// The tables of a transaction that most commits do without, opened when they are first needed: each table that a
/// transaction touches costs it pages.
struct Rare<'t> {
    write: &'t WriteTransaction,
    index: Option<Bytes<'t>>,
    open: Option<Bytes<'t>>,
    saved: Option<Bytes<'t>>,
}

impl<'t> Rare<'t> {
    fn new(write: &'t WriteTransaction) -> Self {
        Self { write, index: None, open: None, saved: None }
    }

    fn index(&mut self) -> Result<&mut Bytes<'t>, StoreError> {
        opened(self.write, &mut self.index, tables::INDEX)
    }

    fn open(&mut self) -> Result<&mut Bytes<'t>, StoreError> {
        opened(self.write, &mut self.open, tables::OPEN)
    }

    fn saved(&mut self) -> Result<&mut Bytes<'t>, StoreError> {
        opened(self.write, &mut self.saved, tables::SAVED)
    }

    /// Moves a run in the index and among the open runs to where its new record says.
    fn follow(&mut self, run: RunId, before: Option<&Record<'_>>, after: &Record<'_>) -> Result<(), StoreError> {
        let key = after.age_key(run);
        let key_before = before.map(|before| before.age_key(run));
        let moved = key_before.is_some_and(|before| before != key);
        if let (Some(before), true) = (key_before, moved) {
            self.index()?.remove(before.as_slice()).map_err(failed)?;
        }
        let is_listed = !after.summary.part;
        if is_listed && (moved || before.is_none_or(|before| before.index_entry() != after.index_entry())) {
            self.index()?.insert(key.as_slice(), after.index_entry().encode().as_slice()).map_err(failed)?;
        }
        let was_open = before.is_some_and(|before| before.open_run().is_open());
        let is_open = after.open_run().is_open();
        if let (Some(before), true) = (key_before, was_open && (moved || !is_open)) {
            self.open()?.remove(before.as_slice()).map_err(failed)?;
        }
        if is_open && (moved || !was_open) {
            self.open()?.insert(key.as_slice(), [].as_slice()).map_err(failed)?;
        }
        Ok(())
    }
}

fn opened<'a, 't>(
    write: &'t WriteTransaction,
    table: &'a mut Option<Bytes<'t>>,
    definition: redb::TableDefinition<'static, &'static [u8], &'static [u8]>,
) -> Result<&'a mut Bytes<'t>, StoreError> {
    match table {
        Some(table) => Ok(table),
        None => Ok(table.insert(write.open_table(definition).map_err(failed)?)),
    }
}

impl StateFile {
    pub(super) fn put_definition(&self, definition: &Definition) -> Result<(), StoreError> {
        limits::check_definition(definition)?;
        if self.definition(definition.hash)?.is_some() {
            return Ok(());
        }
        let value = layout::encode_named(definition)?;
        let _turn = self.turn();
        let write = self.begin()?;
        let mut definitions = write.open_table(tables::DEFINITIONS).map_err(failed)?;
        definitions.insert(definition.hash.as_bytes().as_slice(), value.as_slice()).map_err(failed)?;
        drop(definitions);
        write.commit().map_err(failed)
    }

    pub(super) fn create(&self, new_runs: &[NewRun]) -> Result<Vec<Created>, StoreError> {
        for new in new_runs {
            limits::check_new_run(new)?;
        }
        let _turn = self.turn();
        let write = self.begin()?;
        let mut outcomes = Vec::with_capacity(new_runs.len());
        let mut opened: Vec<(RunId, OpenRun)> = Vec::new();
        {
            let mut runs = write.open_table(tables::RUNS).map_err(failed)?;
            let mut rare = Rare::new(&write);
            for new in new_runs {
                if runs.get(tables::record(new.run).as_slice()).map_err(failed)?.is_some() {
                    outcomes.push(Created::Existed);
                    continue;
                }
                let record = Record {
                    version: 1,
                    commit_id: 0,
                    last_event: new.events.len() as u64,
                    due: new.due,
                    summary: new.summary.clone(),
                    head: &new.head,
                    outbox: &[],
                };
                put_record(&mut runs, new.run, &record)?;
                for (name, value) in &new.fields {
                    runs.insert(tables::field(new.run, name).as_slice(), value.as_slice()).map_err(failed)?;
                }
                put_events(&mut runs, new.run, 1, &new.events)?;
                rare.follow(new.run, None, &record)?;
                opened.push((new.run, record.open_run()));
                outcomes.push(Created::Created);
            }
        }
        if opened.is_empty() {
            write.abort().map_err(failed)?;
            return Ok(outcomes);
        }
        write.commit().map_err(failed)?;
        for (run, open) in opened {
            self.sets_of(run).put(run, open);
        }
        Ok(outcomes)
    }

    pub(super) fn commit(
        &self,
        shard: Shard,
        epoch: Epoch,
        commits: &[Commit],
        performed: &[(RunId, u64)],
    ) -> Result<Vec<Committed>, StoreError> {
        for commit in commits {
            limits::check_commit(commit)?;
        }
        let _turn = self.turn();
        self.check_epoch(shard, epoch)?;
        for commit in commits {
            self.check_shard(commit.run, shard, epoch)?;
        }
        let ended = self.perhaps_ended(shard, performed)?;
        let mut outcomes = Vec::with_capacity(commits.len());
        let mut changed: Vec<(RunId, OpenRun)> = Vec::with_capacity(commits.len());
        if !commits.is_empty() || !ended.is_empty() {
            let write = self.begin()?;
            let mut commands: Vec<&String> = Vec::new();
            {
                let mut runs = write.open_table(tables::RUNS).map_err(failed)?;
                let mut rare = Rare::new(&write);
                for commit in commits {
                    let (outcome, open) = apply(&mut runs, &mut rare, commit)?;
                    outcomes.push(outcome);
                    if let Some(open) = open {
                        changed.push((commit.run, open));
                        commands.extend(&commit.commands);
                    }
                }
                for (run, version) in ended {
                    let open = forget_outbox(&mut runs, &mut rare, run, version)?;
                    changed.extend(open.map(|open| (run, open)));
                }
            }
            if changed.is_empty() {
                write.abort().map_err(failed)?;
            } else {
                take_commands(&write, shard, &commands)?;
                write.commit().map_err(failed)?;
            }
        }
        let mut sets = self.sets(shard)?;
        for (run, open) in changed {
            if !open.active {
                self.fleet().forget(run);
            }
            sets.put(run, open);
        }
        for &(run, version) in performed {
            if let Some(open) = sets.get(run).filter(|open| open.version == version) {
                sets.put(run, OpenRun { dirty: false, ..open });
            }
        }
        Ok(outcomes)
    }

    /// Those of `performed` that may be of ended runs. Their outboxes are forgotten in the file, because nothing else
    /// would ever take them off the open runs there; those of unfinished runs in memory only.
    fn perhaps_ended(&self, shard: Shard, performed: &[(RunId, u64)]) -> Result<Vec<(RunId, u64)>, StoreError> {
        let sets = self.sets(shard)?;
        let is_unfinished =
            |&&(run, version): &&(RunId, u64)| sets.get(run).is_some_and(|open| open.active && open.version == version);
        Ok(performed.iter().filter(|performed| !is_unfinished(performed)).copied().collect())
    }

    pub(super) fn post(&self, command: &Command) -> Result<(), StoreError> {
        limits::check_command(command)?;
        let shard = self.shard_of(command.run);
        let key = tables::command_key(shard, &command.key);
        let _turn = self.turn();
        let write = self.begin()?;
        {
            let mut keys = write.open_table(tables::INBOX_KEYS).map_err(failed)?;
            if keys.get(key.as_slice()).map_err(failed)?.is_some() {
                return Ok(());
            }
            let mut inbox = write.open_table(tables::INBOX).map_err(failed)?;
            let all = tables::command(shard, 0)..=tables::command(shard, u64::MAX);
            let last = match inbox
                .range::<&[u8]>(all.start().as_slice()..=all.end().as_slice())
                .map_err(failed)?
                .next_back()
            {
                Some(entry) => tables::command_position(entry.map_err(failed)?.0.value()),
                None => 0,
            };
            let value = layout::encode_command(command);
            inbox.insert(tables::command(shard, last + 1).as_slice(), value.as_slice()).map_err(failed)?;
            keys.insert(key.as_slice(), last + 1).map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    /// Refuses a run that belongs to another shard than the caller owns.
    fn check_shard(&self, run: RunId, shard: Shard, held: Epoch) -> Result<(), StoreError> {
        let own = self.shard_of(run);
        if own == shard {
            return Ok(());
        }
        Err(StoreError::Fenced { shard: own, held, current: self.sets(own)?.epoch(self.now()) })
    }
}

/// Applies one commit, if it is of the stored version. What the sets then know of the run is given back; nothing, when
/// nothing changed.
fn apply(
    runs: &mut Bytes<'_>,
    rare: &mut Rare<'_>,
    commit: &Commit,
) -> Result<(Committed, Option<OpenRun>), StoreError> {
    let key = tables::record(commit.run);
    let Some(stored) = runs.get(key.as_slice()).map_err(failed)?.map(|value| value.value().to_vec()) else {
        return Ok((Committed::Conflict { current: 0 }, None));
    };
    let before = Record::decode(&stored)?;
    if before.version != commit.version {
        let repeated = Some(before.version) == commit.version.checked_add(1) && before.commit_id == commit.id;
        let outcome = match repeated {
            true => Committed::Done(before.version),
            false => Committed::Conflict { current: before.version },
        };
        return Ok((outcome, None));
    }
    let after = Record {
        version: before.version + 1,
        commit_id: commit.id,
        last_event: before.last_event + commit.events.len() as u64,
        due: commit.due,
        summary: commit.summary.clone(),
        head: &commit.head,
        outbox: &commit.outbox,
    };
    put_record(runs, commit.run, &after)?;
    for (name, value) in &commit.fields {
        let key = tables::field(commit.run, name);
        match value {
            Some(value) => runs.insert(key.as_slice(), value.as_slice()).map_err(failed)?,
            None => runs.remove(key.as_slice()).map_err(failed)?,
        };
    }
    put_events(runs, commit.run, before.last_event + 1, &commit.events)?;
    rare.follow(commit.run, Some(&before), &after)?;
    for saved in &commit.saved {
        let key = tables::saved(saved.scope, saved.key);
        rare.saved()?.insert(key.as_slice(), layout::encode_named(saved)?.as_slice()).map_err(failed)?;
    }
    Ok((Committed::Done(after.version), Some(after.open_run())))
}

/// Forgets the outbox of an ended run that is still at this version. What the sets then know of the run is given back;
/// nothing, when nothing changed.
fn forget_outbox(
    runs: &mut Bytes<'_>,
    rare: &mut Rare<'_>,
    run: RunId,
    version: u64,
) -> Result<Option<OpenRun>, StoreError> {
    let key = tables::record(run);
    let Some(stored) = runs.get(key.as_slice()).map_err(failed)?.map(|value| value.value().to_vec()) else {
        return Ok(None);
    };
    let before = Record::decode(&stored)?;
    if before.version != version || before.outbox.is_empty() || !before.summary.status.is_terminal() {
        return Ok(None);
    }
    let after = Record { outbox: &[], ..before.clone() };
    put_record(runs, run, &after)?;
    rare.follow(run, Some(&before), &after)?;
    Ok(Some(after.open_run()))
}

fn put_record(runs: &mut Bytes<'_>, run: RunId, record: &Record<'_>) -> Result<(), StoreError> {
    runs.insert(tables::record(run).as_slice(), record.encode()?.as_slice()).map_err(failed)?;
    Ok(())
}

fn put_events(runs: &mut Bytes<'_>, run: RunId, first: u64, events: &[Vec<u8>]) -> Result<(), StoreError> {
    if !events.is_empty() {
        let value = layout::encode_events(events);
        runs.insert(tables::events(run, first).as_slice(), value.as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Takes applied commands out of the inbox.
fn take_commands(write: &WriteTransaction, shard: Shard, commands: &[&String]) -> Result<(), StoreError> {
    if commands.is_empty() {
        return Ok(());
    }
    let mut keys = write.open_table(tables::INBOX_KEYS).map_err(failed)?;
    let mut inbox = write.open_table(tables::INBOX).map_err(failed)?;
    for command in commands {
        let position = keys.remove(tables::command_key(shard, command).as_slice()).map_err(failed)?;
        if let Some(position) = position.map(|position| position.value()) {
            inbox.remove(tables::command(shard, position).as_slice()).map_err(failed)?;
        }
    }
    Ok(())
}
