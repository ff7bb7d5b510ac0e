//! The log of a node: a bounded file beside its store, in which no invoice and no preimage stands whole.

use ldk_node::logger::{LogLevel, LogRecord, LogWriter};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that has grown to this size becomes the one before, and the one before is gone.
const LIMIT: u64 = 4 << 20;
const NAME: &str = "node.log";
const BEFORE: &str = "node.log.1";

struct Open {
    file: Option<File>,
    size: u64,
    last: String,
    repeats: u64,
}

/// Writes what the library says.
pub struct Log {
    folder: PathBuf,
    least: LogLevel,
    open: Mutex<Open>,
}

/// The level of a name; what is unknown is info.
pub fn level(name: &str) -> LogLevel {
    match name {
        "gossip" => LogLevel::Gossip,
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

impl Log {
    /// The log in this folder, from this level on.
    pub fn new(folder: &Path, least: LogLevel) -> Self {
        let open = Open { file: None, size: 0, last: String::new(), repeats: 0 };
        Self { folder: folder.to_owned(), least, open: Mutex::new(open) }
    }

    /// Writes one line. A log that cannot be written (a full disk) is no reason to stop.
    pub fn line(&self, level: LogLevel, place: &str, text: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.last == text {
            open.repeats += 1;
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = String::new();
        if open.repeats > 0 {
            line = format!("{:.3} (the line before, {} times more)\n", now.as_secs_f64(), open.repeats);
        }
        line += &format!("{:.3} {level:<5} {place} {}\n", now.as_secs_f64(), redacted(text));
        open.last = text.to_owned();
        open.repeats = 0;
        if self.write(&mut open, line.as_bytes()).is_err() {
            open.file = None; // opened anew at the next line
        }
    }

    fn write(&self, open: &mut Open, line: &[u8]) -> std::io::Result<()> {
        let path = self.folder.join(NAME);
        if open.size > LIMIT {
            open.file = None;
            std::fs::rename(&path, self.folder.join(BEFORE))?;
        }
        if open.file.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            open.size = file.metadata()?.len();
            open.file = Some(file);
        }
        if let Some(file) = &mut open.file {
            file.write_all(line)?;
            open.size += line.len() as u64;
        }
        Ok(())
    }
}

impl LogWriter for Log {
    fn log(&self, record: LogRecord<'_>) {
        if record.level >= self.least {
            self.line(record.level, &format!("{}:{}", record.module_path, record.line), &record.args.to_string());
        }
    }
}

/// The text without what opens money: an invoice keeps its first letters, and where a preimage is spoken of no hash stays.
pub fn redacted(text: &str) -> String {
    let secret = text.to_ascii_lowercase().contains("preimage");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let invoice = word.len() > 60 && word.as_bytes()[..2].eq_ignore_ascii_case(b"ln");
        let key = secret && word.len() >= 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
        if invoice || key {
            out.push_str(&word[..8]);
            out.push('…');
        } else {
            out.push_str(word);
        }
        let step = after.chars().next().map_or(0, char::len_utf8);
        out.push_str(&after[..step]);
        rest = &after[step..];
    }
    out
}
