//! The door to the server's own grammar: what may be handed to it, and what its refusals mean.
//!
//! The grammar is C code that, while it runs, points the process's standard error at a pipe of
//! its own. Two threads doing so at once could leave it there, hence one lock for the process;
//! and it does not survive being out of descriptors, hence a look beforehand. What another thread
//! writes to standard error meanwhile is lost, so logs go to a descriptor of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pg_query::ParserOptions;
use pg_query::protobuf as pg;

use crate::limits::{LEXER_STEPS_MAX, PARSED_TEXT_BYTES_MAX};
use crate::model::facts::Unknown;

/// The statements of `text`, or why there is no telling them.
pub(super) fn statements(text: &str) -> Result<Vec<pg::RawStmt>, Unknown> {
    parsed(text, ParserOptions::DEFAULT)
}

/// The statements of `text` to a session in which a backslash escapes within `'...'`. For checks:
/// between the two calls, the thread's lexer has that setting for whoever asks it.
pub(super) fn statements_with_backslashes(text: &str) -> Result<Vec<pg::RawStmt>, Unknown> {
    let statements = parsed(text, ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS);
    let _the_usual_setting_again = parsed("", ParserOptions::DEFAULT);
    statements
}

fn parsed(text: &str, options: ParserOptions) -> Result<Vec<pg::RawStmt>, Unknown> {
    if text.len() > PARSED_TEXT_BYTES_MAX {
        return Err(Unknown::TooLarge);
    }
    if lexer_steps(text.as_bytes()) > LEXER_STEPS_MAX {
        return Err(Unknown::TooDeep);
    }
    let parsed = {
        let _one_at_a_time = lock();
        if !has_descriptors() {
            return Err(Unknown::NotClassified);
        }
        catch_unwind(AssertUnwindSafe(|| pg_query::parse(text, options)))
    };
    match parsed {
        Ok(Ok(result)) => Ok(result.protobuf.stmts),
        Ok(Err(error)) => Err(refusal(&error)),
        // The crate looks through the tree on its own account and may meet what it did not expect.
        Err(_) => Err(Unknown::NotClassified),
    }
}

/// The tokens of `text` as the server's lexer sees them. Not by the crate's `scan_tokens`, which
/// makes a slice of a null pointer where there is no token.
pub(in crate::judge::classify) fn tokens(text: &str) -> Option<Vec<pg::ScanToken>> {
    if lexer_steps(text.as_bytes()) > LEXER_STEPS_MAX {
        return None;
    }
    let _one_at_a_time = lock();
    if !has_descriptors() {
        return None;
    }
    pg_query::scan(text).ok().map(|result| result.tokens)
}

/// True if the three descriptors that the grammar opens can be had. Not a reservation: whoever
/// admits sessions leaves some to spare.
fn has_descriptors() -> bool {
    std::io::pipe().is_ok_and(|(reader, _writer)| reader.try_clone().is_ok())
}

pub(super) fn lock() -> MutexGuard<'static, ()> {
    static GRAMMAR: Mutex<()> = Mutex::new(());
    // It guards no data of ours, so a panic while it was held spoilt nothing.
    GRAMMAR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(error: &pg_query::Error) -> Unknown {
    match error {
        // The tree is decoded to a hundred levels.
        pg_query::Error::Decode(_) => Unknown::TooDeep,
        pg_query::Error::Parse(message) => {
            let deep = ["nested too deeply", "stack depth limit", "memory exhausted"];
            if deep.iter().any(|sign| message.contains(sign)) {
                Unknown::TooDeep
            } else {
                Unknown::Unparsable
            }
        }
        pg_query::Error::Conversion(_) => Unknown::NulByte,
        pg_query::Error::InvalidJson(_)
        | pg_query::Error::InvalidPointer
        | pg_query::Error::Scan(_)
        | pg_query::Error::IsUtility(_)
        | pg_query::Error::Split(_) => Unknown::Unparsable,
    }
}

/// How many bytes the server's lexer would look at. It takes in a whole run of operator
/// characters before it sees that a comment or a sign ends it earlier, and starts again behind
/// that; a run of `/*/*/*` or `+-+-+-` costs the square of its length.
fn lexer_steps(text: &[u8]) -> usize {
    let runs = text.split(|byte| !b"~!@#^&|`?+-*/%<>=".contains(byte));
    runs.map(|run| {
        if run.len() < 2 {
            return run.len();
        }
        let comments = run.windows(2).filter(|pair| *pair == b"/*").count();
        let signs = memchr::memchr(b'+', run).is_some();
        let restarts = comments + if signs { run.len() } else { 1 };
        run.len().saturating_mul(restarts)
    })
    .fold(0, usize::saturating_add)
}
