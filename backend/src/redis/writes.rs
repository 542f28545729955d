//! What changes runs: each call is one pipeline, and in it one script for each 64 runs or so.

use super::connection::random;
use super::encoding;
use super::index::Changes;
use super::keys::member;
use super::ownership::mark;
use super::reads::FIELD;
use super::reply::Replies;
use super::scripts;
use super::store::Inner;
use crate::limits;
use crate::{Command, Commit, Committed, Created, Definition, Epoch, NewRun, Shard, StoreError};
use ::redis::{Cmd, Pipeline, Value};
use darkroom_proto::{RunId, RunStatus, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How many runs one script changes at most: nothing else runs in Redis meanwhile.
const RUNS_MAX: usize = 64;

/// How many bytes one script gets, unless a single run has more.
const BYTES_MAX: usize = 1 << 20;

/// How many runs one script marks as performed, which is little work.
const PERFORMED_MAX: usize = 512;

impl Inner {
    pub(super) async fn put_definition(&self, definition: &Definition) -> Result<(), StoreError> {
        limits::check_definition(definition)?;
        let mut set = ::redis::cmd("SET");
        set.arg(self.keys.definition(definition.hash)).arg(encoding::encode(definition)?).arg("NX");
        self.connection().send("that a definition is kept", &set).await
    }

    pub(super) async fn post(&self, command: &Command) -> Result<(), StoreError> {
        limits::check_command(command)?;
        let shard = self.keys.shard_of(command.run);
        let stored = encoding::encode_command(command)?;
        let size = command.key.len() + stored.len() + 32;
        let mut call = scripts::POST.call(&[self.keys.inbox(shard), self.keys.posted(shard)], size);
        call.arg(&command.key).arg(stored);
        self.lane(shard).send("that a command is in the inbox", &call).await
    }

    pub(super) async fn create(&self, new_runs: &[NewRun]) -> Result<Vec<Created>, StoreError> {
        new_runs.iter().try_for_each(limits::check_new_run)?;
        let mut shards: BTreeMap<Shard, Vec<usize>> = BTreeMap::new();
        for (at, new) in new_runs.iter().enumerate() {
            shards.entry(self.keys.shard_of(new.run)).or_default().push(at);
        }
        // Tells this creation from others when its reply is lost and it is repeated.
        let number = random() >> 1;
        let mut pipeline = Pipeline::new();
        pipeline.atomic();
        let mut order = Vec::with_capacity(new_runs.len());
        for (&shard, of_shard) in &shards {
            for chunk in chunks(of_shard, |&at| (new_runs[at].run, new_run_bytes(&new_runs[at]))) {
                pipeline.add_command(self.create_call(shard, chunk.iter().map(|&&at| (at, &new_runs[at])), number)?);
                order.push(chunk);
            }
        }
        let mut index = Changes::default();
        new_runs.iter().for_each(|new| index.add(new.run, &new.summary));
        index.write(&self.keys, &mut pipeline);

        let mut replies = self.connection().send_all(&pipeline).await?;
        let mut outcomes = vec![Created::Existed; new_runs.len()];
        for chunk in order {
            let created: Vec<bool> = replies.next("whether runs were created")?;
            for (&at, created) in chunk.into_iter().zip(created) {
                if created {
                    outcomes[at] = Created::Created;
                    self.known.learn(new_runs[at].run, new_runs[at].summary.status);
                }
            }
        }
        let existed = new_runs.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Created::Existed);
        let existed: Vec<RunId> = existed.map(|(new, _)| new.run).collect();
        if !existed.is_empty() {
            self.doubt(&existed).await;
        }
        Ok(outcomes)
    }

    fn create_call<'a>(
        &self,
        shard: Shard,
        new_runs: impl Iterator<Item = (usize, &'a NewRun)> + Clone,
        number: u64,
    ) -> Result<Cmd, StoreError> {
        let mut keys = vec![self.keys.active(shard), self.keys.timers(shard)];
        keys.extend(new_runs.clone().map(|(_, new)| self.keys.run(new.run)));
        let bytes = new_runs.clone().map(|(_, new)| new_run_bytes(new)).sum();
        let mut call = scripts::CREATE.call(&keys, bytes);
        let mut name = String::new();
        for (at, new) in new_runs {
            call.arg(number.wrapping_add(at as u64)).arg(new.summary.created_at.0);
            due(&mut call, new.due);
            call.arg(live(new.summary.status)).arg(new.events.len()).arg(encoding::encode_events(&new.events));
            call.arg(4 + 2 * new.fields.len());
            call.arg("summary").arg(encoding::encode(&new.summary)?).arg("head").arg(&new.head);
            for (field, value) in &new.fields {
                call.arg(prefixed(&mut name, field)).arg(value);
            }
        }
        Ok(call)
    }

    pub(super) async fn commit(
        &self,
        shard: Shard,
        epoch: Epoch,
        commits: &[Commit],
        performed: &[(RunId, u64)],
    ) -> Result<Vec<Committed>, StoreError> {
        self.check_shard(shard)?;
        commits.iter().try_for_each(limits::check_commit)?;
        for commit in commits {
            self.check_own(commit.run, shard, epoch).await?;
        }
        let chunks = chunks(commits, |commit| (commit.run, commit_bytes(commit)));
        // As one transaction: not for its own sake, each script stands for itself, but because Redis then does all of it
        // between two writes to disk. By itself a pipeline is done as it arrives, in pieces of 16 KiB.
        let mut pipeline = Pipeline::with_capacity(chunks.len() + 4);
        pipeline.atomic();
        for chunk in &chunks {
            pipeline.add_command(self.commit_call(shard, epoch, chunk)?);
        }
        let performed: Vec<_> =
            performed.iter().filter(|(run, _)| self.keys.shard_of(*run) == shard).copied().collect();
        let mut scripts = chunks.len();
        // Nothing to do is still refused to who is not the owner.
        let empty: [&[(RunId, u64)]; 1] = [&[]];
        let marks: Vec<&[(RunId, u64)]> = match performed.is_empty() && commits.is_empty() {
            true => empty.to_vec(),
            false => performed.chunks(PERFORMED_MAX).collect(),
        };
        for chunk in marks {
            pipeline.add_command(self.performed_call(shard, epoch, chunk));
            scripts += 1;
        }
        let moved = self.follow(commits, &mut pipeline);
        self.save(commits, &mut pipeline)?;

        let result = match self.lane(shard).send_all(&pipeline).await {
            Ok(replies) => self.outcomes(shard, epoch, &chunks, scripts, replies),
            Err(error) => {
                moved.keys().for_each(|&run| self.known.forget(run));
                return Err(error);
            }
        };
        // A list that was written for a commit that was then refused has to be put right.
        let doubtful: Vec<RunId> = match &result {
            Ok(outcomes) => {
                let refused =
                    commits.iter().zip(outcomes).filter(|(_, outcome)| !matches!(outcome, Committed::Done(_)));
                refused.map(|(commit, _)| commit.run).collect()
            }
            Err(_) => moved.keys().copied().collect(),
        };
        moved.iter().for_each(|(&run, &status)| self.known.learn(run, status));
        if !doubtful.is_empty() {
            self.doubt(&doubtful).await;
        }
        result
    }

    fn outcomes(
        &self,
        shard: Shard,
        epoch: Epoch,
        chunks: &[Vec<&Commit>],
        scripts: usize,
        mut replies: Replies,
    ) -> Result<Vec<Committed>, StoreError> {
        let mut outcomes = Vec::new();
        for at in 0..scripts {
            let reply = replies.value();
            if let Value::BulkString(owner) = &reply {
                return Err(self.fenced(shard, epoch, owner));
            }
            let Some(chunk) = chunks.get(at) else { continue };
            let applied: Vec<Value> = super::reply::parse("the outcomes of commits", reply)?;
            for (commit, applied) in chunk.iter().zip(applied) {
                outcomes.push(match applied {
                    Value::Int(_) => Committed::Done(commit.version.wrapping_add(1)),
                    other => Committed::Conflict { current: super::reply::parse("the version of a run", other)? },
                });
            }
        }
        Ok(outcomes)
    }

    fn commit_call(&self, shard: Shard, epoch: Epoch, commits: &[&Commit]) -> Result<Cmd, StoreError> {
        let mut keys = Vec::with_capacity(5 + commits.len());
        keys.push(self.keys.owner(shard));
        keys.push(self.keys.dirty(shard));
        keys.push(self.keys.active(shard));
        keys.push(self.keys.timers(shard));
        keys.push(self.keys.inbox(shard));
        let start = self.keys.runs(shard);
        keys.extend(commits.iter().map(|commit| start.clone() + &member(commit.run)));
        let mut call =
            scripts::COMMIT.call(&keys, 64 + commits.iter().map(|commit| commit_bytes(commit)).sum::<usize>());
        call.arg(mark(epoch));
        let mut name = String::new();
        for commit in commits {
            let removed = commit.fields.iter().filter(|(_, value)| value.is_none()).count();
            call.arg(commit.version).arg(commit.version.wrapping_add(1)).arg(commit.id);
            call.arg(commit.summary.created_at.0);
            due(&mut call, commit.due);
            call.arg(live(commit.summary.status)).arg(if commit.outbox.is_empty() { "" } else { "1" });
            call.arg(commit.events.len()).arg(encoding::encode_events(&commit.events));
            call.arg(6 + 2 * (commit.fields.len() - removed)).arg(removed).arg(commit.commands.len());
            call.arg("summary").arg(encoding::encode(&commit.summary)?);
            call.arg("head").arg(&commit.head).arg("outbox").arg(&commit.outbox);
            for (field, value) in &commit.fields {
                if let Some(value) = value {
                    call.arg(prefixed(&mut name, field)).arg(value);
                }
            }
            for (field, _) in commit.fields.iter().filter(|(_, value)| value.is_none()) {
                call.arg(prefixed(&mut name, field));
            }
            for command in &commit.commands {
                call.arg(command);
            }
        }
        Ok(call)
    }

    fn performed_call(&self, shard: Shard, epoch: Epoch, performed: &[(RunId, u64)]) -> Cmd {
        let mut keys = vec![self.keys.owner(shard), self.keys.dirty(shard)];
        keys.extend(performed.iter().map(|&(run, _)| self.keys.run(run)));
        let mut call = scripts::PERFORMED.call(&keys, 32 + 16 * performed.len());
        call.arg(mark(epoch));
        for (_, version) in performed {
            call.arg(version);
        }
        call
    }

    /// Adds what the lists need, for runs whose status is not known to stay.
    fn follow(&self, commits: &[Commit], pipeline: &mut Pipeline) -> HashMap<RunId, RunStatus> {
        let mut index = Changes::default();
        let mut moved: HashMap<RunId, RunStatus> = HashMap::new();
        for (at, commit) in commits.iter().enumerate() {
            let was = self.known.get(commit.run);
            if was == Some(commit.summary.status) && !moved.contains_key(&commit.run) {
                continue;
            }
            moved.insert(commit.run, commit.summary.status);
            // Of two commits of one run, the later one says where it is.
            if commits[at + 1..].iter().all(|later| later.run != commit.run) {
                index.follow(commit.run, &commit.summary, was);
            }
        }
        index.write(&self.keys, pipeline);
        moved
    }

    fn save(&self, commits: &[Commit], pipeline: &mut Pipeline) -> Result<(), StoreError> {
        let scopes: BTreeSet<Sha256> =
            commits.iter().flat_map(|commit| &commit.saved).map(|saved| saved.scope).collect();
        for scope in scopes {
            let write = pipeline.cmd("HSET").arg(self.keys.saved(scope));
            for saved in commits.iter().flat_map(|commit| &commit.saved).filter(|saved| saved.scope == scope) {
                write.arg(saved.key.as_bytes()).arg(encoding::encode(saved)?);
            }
        }
        Ok(())
    }

    /// Refuses a run that belongs to another shard than the caller owns.
    async fn check_own(&self, run: RunId, shard: Shard, held: Epoch) -> Result<(), StoreError> {
        let own = self.keys.shard_of(run);
        if own == shard {
            return Ok(());
        }
        let mut get = ::redis::cmd("GET");
        get.arg(self.keys.owner(own));
        let owner: Option<Vec<u8>> = self.connection().send("the owner of a shard", &get).await?;
        Err(self.fenced(own, held, &owner.unwrap_or_default()))
    }
}

/// Splits what is to be written into what one script writes. None gets the same run twice, so that a script need not
/// look at what it is about to write.
fn chunks<T>(all: &[T], of: impl Fn(&T) -> (RunId, usize)) -> Vec<Vec<&T>> {
    let mut chunks: Vec<Vec<&T>> = Vec::new();
    let mut runs: HashSet<RunId> = HashSet::new();
    let mut bytes = 0;
    for item in all {
        let (run, size) = of(item);
        let is_full = runs.len() == RUNS_MAX || bytes + size > BYTES_MAX || runs.contains(&run);
        bytes += size;
        match chunks.last_mut() {
            Some(chunk) if !is_full => chunk.push(item),
            _ => {
                runs.clear();
                bytes = size;
                chunks.push(vec![item]);
            }
        }
        runs.insert(run);
    }
    chunks
}

fn new_run_bytes(new: &NewRun) -> usize {
    let fields: usize = new.fields.iter().map(|(name, value)| name.len() + value.len() + 24).sum();
    let events: usize = new.events.iter().map(|event| event.len() + 8).sum();
    700 + new.head.len() + fields + events
}

fn commit_bytes(commit: &Commit) -> usize {
    let fields: usize =
        commit.fields.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + 24).sum();
    let events: usize = commit.events.iter().map(|event| event.len() + 8).sum();
    let commands: usize = commit.commands.iter().map(|command| command.len() + 8).sum();
    800 + commit.head.len() + commit.outbox.len() + fields + events + commands
}

fn due(call: &mut Cmd, due: Option<darkroom_proto::Timestamp>) {
    match due {
        Some(at) => call.arg(at.0),
        None => call.arg(""),
    };
}

fn live(status: RunStatus) -> &'static str {
    if status.is_terminal() { "" } else { "1" }
}

/// The name of a field as it is stored.
fn prefixed<'a>(buffer: &'a mut String, field: &str) -> &'a str {
    buffer.clear();
    buffer.push_str(FIELD);
    buffer.push_str(field);
    buffer
}
