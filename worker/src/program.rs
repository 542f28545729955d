//! Programs of this machine that ops make use of: ffmpeg and espeak-ng.
//!
//! Each call is a process of its own, found on the search path, with its arguments in a list and nothing of our environment
//! but that path. It is fed and listened to through pipes, and is ended when its time is over. When this process is
//! killed, the pipe that feeds the program closes, and it ends by itself.
//!
//! They never see bytes that somebody else made: what they are fed are pixels that we decoded, sound that we made, and text.

use darkroom_proto::{ErrorClass, StepError};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A program that may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Films and compressed sound.
    Ffmpeg,
    /// Speech.
    EspeakNg,
}

impl Program {
    /// The name of its file, which is also that of its package in Debian.
    pub fn name(self) -> &'static str {
        match self {
            Program::Ffmpeg => "ffmpeg",
            Program::EspeakNg => "espeak-ng",
        }
    }
}

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Programs {
    path: OsString,
}

/// One call of a program.
#[derive(Debug, Clone)]
pub struct Call {
    /// The program.
    pub program: Program,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How long it may take; then it is ended.
    pub time_max: Duration,
    /// The most bytes that it may write to its standard output.
    pub output_bytes_max: usize,
}

/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// The most that is kept of what a program complains about.
const COMPLAINT_BYTES_MAX: usize = 4_096;

impl Programs {
    /// The programs on the search path of this process.
    pub fn installed() -> Programs {
        Programs { path: std::env::var_os("PATH").unwrap_or_default() }
    }

    /// The programs on a search path, such as `/usr/local/bin:/usr/bin`.
    pub fn on(path: impl Into<OsString>) -> Programs {
        Programs { path: path.into() }
    }

    /// The file of a program, if it is installed.
    pub fn find(&self, program: Program) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(program.name()))
            .find(|file| file.is_file())
    }

    /// Calls a program: `feed` writes its input, what it wrote is returned.
    ///
    /// # Errors
    /// When it is not installed, takes too long, writes too much, or fails; then with the last line of its complaints.
    pub fn call(
        &self,
        call: &Call,
        feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
    ) -> Result<Vec<u8>, StepError> {
        let file = self.find(call.program).ok_or_else(|| missing(call.program))?;
        let child = Command::new(file)
            .args(&call.arguments)
            .env_clear()
            .env("PATH", &self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| failed(call.program, &error.to_string()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (ended, fed, output, complaint) = std::thread::scope(|scope| {
            let feeder = scope.spawn(move || match stdin {
                Some(mut stdin) => feed(&mut stdin),
                None => Ok(()),
            });
            let reader = scope.spawn(|| stdout.map_or(Ok(Vec::new()), |out| read_up_to(out, call.output_bytes_max)));
            let listener = scope.spawn(|| stderr.map(tail).unwrap_or_default());
            let ended = wait(&mut child, call.time_max);
            let panicked = || io::Error::other("a pipe broke");
            (
                ended,
                feeder.join().unwrap_or_else(|_| Err(panicked())),
                reader.join().unwrap_or_else(|_| Err(panicked())),
                listener.join().unwrap_or_default(),
            )
        });
        let name = call.program.name();
        let Some(status) = ended.map_err(|error| failed(call.program, &error.to_string()))? else {
            let message = format!("{name} was ended: the attempt's time was over");
            return Err(
                StepError::new(ErrorClass::Timeout, message).advice("give the step a longer `timeout:`, or less to do")
            );
        };
        let output = output.map_err(|error| failed(call.program, &error.to_string()))?;
        if output.len() > call.output_bytes_max {
            let message = format!("{name} wrote more than {} bytes", call.output_bytes_max);
            return Err(StepError::new(ErrorClass::TooLarge, message)
                .code("too_many_bytes")
                .advice("give it less to do"));
        }
        if !status.success() {
            let why = if complaint.is_empty() { status.to_string() } else { complaint };
            return Err(failed(call.program, &why));
        }
        fed.map_err(|error| failed(call.program, &error.to_string()))?;
        Ok(output)
    }
}

fn missing(program: Program) -> StepError {
    let name = program.name();
    StepError::new(ErrorClass::WorkflowError, format!("{name} is not installed on this worker"))
        .code(format!("{name}_missing"))
        .advice(format!("install it where the worker runs, such as with `apt-get install {name}`, and resume the run"))
}

fn failed(program: Program, why: &str) -> StepError {
    let name = program.name();
    StepError::new(ErrorClass::WorkflowError, format!("{name} failed: {why}"))
        .code(format!("{name}_failed"))
        .advice(format!("check that `{name} -version` works where the worker runs; install a complete build of it"))
}

/// How a program ended; nothing if its time was over and it had to be ended.
fn wait(child: &mut Child, time_max: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let Some(left) = time_max.checked_sub(begun.elapsed()) else {
            // It may have ended meanwhile, which is just as well.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        };
        std::thread::sleep(LOOK.min(left));
    }
}

/// Reads to the end, or to one byte more than the limit. Dropping the pipe then ends the program.
fn read_up_to(from: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last line that is not empty, of however much is written.
fn tail(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1_024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(&piece[..length]);
        let excess = kept.len().saturating_sub(COMPLAINT_BYTES_MAX);
        kept.drain(..excess);
    }
    let text = String::from_utf8_lossy(&kept);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search path on which ffmpeg is a shell, and a call of it with this script.
    fn with_script(script: &str, time_max: Duration) -> (tempfile::TempDir, Programs, Call) {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/sh", dir.path().join("ffmpeg")).unwrap();
        let programs = Programs::on(format!("{}:/usr/bin:/bin", dir.path().display()));
        let arguments = ["-c", script, "ffmpeg", "a b", "$HOME;"].map(OsString::from).to_vec();
        (dir, programs, Call { program: Program::Ffmpeg, arguments, time_max, output_bytes_max: 1_000 })
    }

    const PLENTY: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_gets_its_arguments_as_they_are_and_its_input_and_nothing_of_the_environment() {
        let (_dir, programs, call) = with_script("printf '%s|' \"$@\"; cat; env", PLENTY);
        let output = String::from_utf8(programs.call(&call, |to| to.write_all(b"hello\n")).unwrap()).unwrap();
        assert!(output.starts_with("a b|$HOME;|hello\n"), "{output}");
        assert!(output.contains("PATH=") && !output.contains("CARGO"), "{output}");
    }

    #[test]
    fn what_goes_wrong_is_told_with_the_last_complaint() {
        let cases = [
            ("fails", "echo one >&2; echo two >&2; exit 3", "ffmpeg_failed", ErrorClass::WorkflowError, "failed: two"),
            ("fails silently", "exit 3", "ffmpeg_failed", ErrorClass::WorkflowError, "exit status: 3"),
            ("too much", "cat /dev/zero", "too_many_bytes", ErrorClass::TooLarge, "more than 1000 bytes"),
        ];
        for (name, script, code, class, message) in cases {
            let (_dir, programs, call) = with_script(script, PLENTY);
            let error = programs.call(&call, |_| Ok(())).unwrap_err();
            assert_eq!((error.code.as_str(), error.class), (code, class), "{name}: {error}");
            assert!(error.message.contains(message), "{name}: {error}");
        }
        let (_dir, _, call) = with_script("", PLENTY);
        let error = Programs::on("/nowhere:relative").call(&call, |_| Ok(())).unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("ffmpeg_missing", ErrorClass::WorkflowError));
        assert!(error.advice.contains("apt-get install ffmpeg"), "{error}");
    }

    #[test]
    fn a_program_that_neither_reads_nor_ends_is_ended_when_its_time_is_over() {
        let (_dir, programs, call) = with_script("exec sleep 600", Duration::from_millis(100));
        let endless = |to: &mut dyn Write| loop {
            to.write_all(&[0; 4_096])?;
        };
        let error = programs.call(&call, endless).unwrap_err();
        assert_eq!(error.class, ErrorClass::Timeout, "{error}");
    }
}
