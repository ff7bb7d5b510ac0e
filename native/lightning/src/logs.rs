//! The log of a node: a bounded file beside its store, in which no invoice and no preimage stands whole.

use crate::held;
use ldk_node::logger::{LogLevel, LogRecord, LogWriter};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that has grown to this size becomes the one before, and the one before is gone.
const LIMIT: u64 = 4 << 20;
/// A line that is one of the last so many is counted instead of written: an attempt every quarter of a second says two lines.
const REMEMBERED: usize = 4;
const NAME: &str = "node.log";
const BEFORE: &str = "node.log.1";

struct Open {
    file: Option<File>,
    size: u64,
    last: VecDeque<String>,
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
        let open = Open { file: None, size: 0, last: VecDeque::new(), repeats: 0 };
        Self { folder: folder.to_owned(), least, open: Mutex::new(open) }
    }

    /// Writes one line. A log that cannot be written (a full disk) is no reason to stop.
    pub fn line(&self, level: LogLevel, place: &str, text: &str) {
        let mut open = held(&self.open);
        if open.last.iter().any(|last| last == text) {
            open.repeats += 1;
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = String::new();
        if open.repeats > 0 {
            line = format!("{:.3} ({} lines that were here before)\n", now.as_secs_f64(), open.repeats);
        }
        line += &format!("{:.3} {level:<5} {place} {}\n", now.as_secs_f64(), redacted(text));
        open.last.truncate(REMEMBERED - 1);
        open.last.push_front(text.to_owned());
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
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
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

/// The text without what opens money: an invoice keeps its first letters, where a preimage or a secret is spoken of no hash stays
/// whole, and a list of bytes says nothing.
pub fn redacted(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let secret = lower.contains("preimage") || lower.contains("secret");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())];
        let list = if first == '[' { bytes(rest) } else { 0 };
        rest = if list > 0 {
            out.push_str("[…]");
            &rest[list..]
        } else if word.is_empty() {
            out.push(first);
            &rest[first.len_utf8()..]
        } else {
            let invoice = word.len() > 60 && word[..2].eq_ignore_ascii_case("ln");
            let key = secret && word.len() >= 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
            out.push_str(if invoice || key { &word[..8] } else { word });
            out.push_str(if invoice || key { "…" } else { "" });
            &rest[word.len()..]
        };
    }
    out
}

/// The length of a list of at least sixteen numbers at the start of the text, or 0.
fn bytes(text: &str) -> usize {
    let end = text.find(']').unwrap_or(0);
    let numbers = text[..end].bytes().skip(1).all(|b| b.is_ascii_digit() || b == b',' || b == b' ');
    if numbers && text[..end].matches(',').count() >= 15 { end + 1 } else { 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn neither_an_invoice_nor_a_preimage_stands_whole() {
        let invoice = format!("lnbcrt210n1{}", "p".repeat(200));
        assert_eq!(redacted(&format!("Invoice created: {invoice}")), "Invoice created: lnbcrt21…");
        let hash = "ab".repeat(32);
        assert_eq!(redacted(&format!("payment hash {hash}")), format!("payment hash {hash}"));
        assert_eq!(redacted(&format!("Preimage({hash}), é")), "Preimage(abababab…), é");
        assert_eq!(redacted(&format!("{}:{}", invoice.to_uppercase(), "x")), "LNBCRT21…:x");
        assert_eq!(redacted(&format!("secret [{}], [1, 2]", "255, ".repeat(32))), "secret […], [1, 2]");
        assert_eq!(redacted("[no list"), "[no list");
        assert_eq!(redacted(""), "");
    }

    #[test]
    fn it_is_bounded_and_says_once_what_is_said_again_and_again() {
        let folder = std::env::temp_dir().join(format!("pylon-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = Log::new(&folder, LogLevel::Info);
        for _ in 0..500 {
            log.line(LogLevel::Info, "here:1", "to the hub");
            log.line(LogLevel::Error, "here:1", "the hub is away");
        }
        log.line(LogLevel::Info, "here:2", "the hub is back");
        let text = std::fs::read_to_string(folder.join(NAME)).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("(998 lines that were here before)"));
        for number in 0..100 {
            log.line(LogLevel::Info, "here:3", &format!("{number} {}", " ".repeat(100_000)));
        }
        let sizes = [NAME, BEFORE].map(|name| std::fs::metadata(folder.join(name)).unwrap().len());
        assert!(sizes.iter().all(|size| *size < LIMIT + 200_000), "{sizes:?}");
        std::fs::remove_dir_all(&folder).unwrap();
        log.line(LogLevel::Info, "here:4", "nowhere to write to is no reason to stop");
    }
}
