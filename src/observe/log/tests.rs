use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: &str) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = subscriber(format, level, false, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::debug!("quiet");
        tracing::info!(sessions = 3, path = "a\u{1b}[31m\nb", "serving");
    });
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_is_one_object_a_line() {
    let text = logged(LogFormat::Json, "info");
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "serving");
    assert_eq!(line["sessions"], 3);
    assert_eq!(line["level"], "INFO");
}

#[test]
fn text_is_one_line_without_terminal_sequences() {
    let text = logged(LogFormat::Text, "info");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("serving") && text.contains("sessions=3"));
}

#[test]
fn the_level_filters_by_module() {
    assert_eq!(logged(LogFormat::Text, "debug").lines().count(), 2);
    assert_eq!(logged(LogFormat::Text, "error").lines().count(), 0);
    assert_eq!(logged(LogFormat::Text, "error,narrows::observe=debug").lines().count(), 2);
}

#[test]
fn a_wrong_level_is_said() {
    let Err(error) = subscriber(LogFormat::Text, "narrows=loud", false, stderr) else {
        panic!("it was taken")
    };
    assert!(error.to_string().contains("log level"));
}
