//! Seeded conversations: a bot that sends what it likes in any pieces, and a target that answers
//! as PostgreSQL does for a tiny language. It knows transactions, errors and the skipping after
//! them; no copies, no rows that are fetched in parts, no cancelling.

use std::collections::HashMap;

use super::*;
use crate::record::tests::Dice;

const SEEDS: u64 = 100;
const COMMANDS: usize = 40;
/// What takes a refused command's place.
const POISON: &str = "refused by narrows";

/// A text, and how many rows the target answers; `None` is an error of its own.
const ALLOWED: [(&str, Option<usize>); 7] = [
    ("SELECT 1", Some(1)),
    ("SELECT a FROM t", Some(7)),
    ("SELECT a FROM none", Some(0)),
    ("SELECT missing", None),
    ("BEGIN", Some(0)),
    ("COMMIT", Some(0)),
    ("INSERT INTO t VALUES (1)", Some(0)),
];
const DENIED: [&str; 3] = ["DROP TABLE t", "DELETE FROM t", "not even SQL"];

/// A PostgreSQL server, as far as the language goes.
struct Server {
    unread: Vec<u8>,
    status: u8,
    skipping: bool,
    prepared: HashMap<String, String>,
    portal: Option<String>,
    /// Every text that it was given.
    texts: Vec<String>,
}

impl Server {
    fn new() -> Self {
        Self {
            unread: Vec::new(),
            status: b'I',
            skipping: false,
            prepared: HashMap::new(),
            portal: None,
            texts: Vec::new(),
        }
    }

    /// The answers to all messages that are whole.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend(bytes);
        let mut answers = Vec::new();
        while let Some((&[tag, a, b, c, d], _)) = self.unread.split_first_chunk::<5>() {
            let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
            if self.unread.len() < total {
                break;
            }
            let message: Vec<u8> = self.unread.drain(..total).collect();
            self.answer(tag, &message[5..], &mut answers);
        }
        answers
    }

    fn answer(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) {
        if self.skipping && tag != b'S' && tag != b'X' {
            return;
        }
        let words: Vec<String> = body
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into())
            .collect();
        match tag {
            b'Q' => {
                let text = &words[0];
                self.texts.push(text.clone());
                if let Err(code) = self.run(text, &pg::columns(), out) {
                    self.fail(code, out);
                }
                self.ready(out);
            }
            b'P' => {
                self.texts.push(words[1].clone());
                if words[1] == POISON {
                    self.fail("42601", out);
                    self.skipping = true;
                } else if self.status == b'E' && words[1] != "COMMIT" {
                    self.fail("25P02", out);
                    self.skipping = true;
                } else {
                    self.prepared.insert(words[0].clone(), words[1].clone());
                    out.extend(pg::ok("1"));
                }
            }
            b'B' => {
                self.portal = self.prepared.get(&words[1]).cloned();
                if self.portal.is_some() {
                    out.extend(pg::ok("2"));
                } else {
                    self.fail("26000", out);
                    self.skipping = true;
                }
            }
            b'E' => {
                let text = self.portal.clone().unwrap();
                if let Err(code) = self.run(&text, b"", out) {
                    self.fail(code, out);
                    self.skipping = true;
                }
            }
            b'S' => {
                self.skipping = false;
                self.ready(out);
            }
            b'X' => {}
            other => panic!("the target got {}", other as char),
        }
    }

    /// The answer to a command, or the error that it ends in.
    fn run(&mut self, text: &str, head: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        if text == "COMMIT" {
            self.status = b'I';
            out.extend(pg::done("COMMIT"));
            return Ok(());
        }
        if text == POISON {
            return Err("42601");
        }
        if self.status == b'E' {
            return Err("25P02");
        }
        let known = ALLOWED.iter().find(|(its, _)| *its == text);
        let Some((_, rows)) = known else { panic!("the target got {text}") };
        let rows = rows.ok_or("42703")?;
        match text.split(' ').next().unwrap() {
            "BEGIN" => {
                self.status = b'T';
                out.extend(pg::done("BEGIN"));
            }
            "INSERT" => out.extend(pg::done("INSERT 0 1")),
            _ => {
                out.extend(head);
                out.extend(pg::row().repeat(rows));
                out.extend(pg::done(&format!("SELECT {rows}")));
            }
        }
        Ok(())
    }

    fn fail(&mut self, code: &str, out: &mut Vec<u8>) {
        out.extend(pg::error(code));
        if self.status == b'T' {
            self.status = b'E';
        }
    }

    fn ready(&self, out: &mut Vec<u8>) {
        out.extend(pg::z(self.status));
    }
}

/// The bot's side: what it sends, and the texts in it, each of which ReadyForQuery answers.
#[derive(Default)]
struct Bot {
    script: Vec<u8>,
    asked: Vec<Question>,
}

struct Question {
    text: &'static str,
    /// By Parse, Bind, Execute and Sync.
    extended: bool,
}

impl Bot {
    fn write(dice: &mut Dice) -> Self {
        let mut bot = Self::default();
        for _ in 0..COMMANDS {
            let text = match dice.roll(4) {
                0 => DENIED[dice.roll(DENIED.len())],
                _ => ALLOWED[dice.roll(ALLOWED.len())].0,
            };
            let extended = dice.roll(2) == 0;
            bot.asked.push(Question { text, extended });
            bot.script.extend(match extended {
                true => [pg::pbe(text), pg::sync()].concat(),
                false => pg::q(text),
            });
        }
        bot
    }
}

/// Plays one seed. Every choice is the dice's, so that a seed says it all.
fn play(house: &House, seed: u64) -> (SessionId, Bot, Seen) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let bot = Bot::write(&mut dice);
    let script = &bot.script;
    let mut server = Server::new();
    let mut visit = house.visit();
    visit.knock();
    visit.target(&target_login());
    let (mut sent, mut read) = (0, visit.seen.to(Leg::Upstream).len());
    let mut owed: Vec<u8> = Vec::new();
    loop {
        if dice.roll(2) == 0 && sent < script.len() && visit.session.wants(Leg::Downstream) {
            let end = script.len().min(sent + 1 + dice.roll(120));
            visit.bot(&script[sent..end]);
            sent = end;
        } else if !owed.is_empty() && visit.session.wants(Leg::Upstream) {
            let piece: Vec<u8> = owed.drain(..owed.len().min(1 + dice.roll(90))).collect();
            visit.target(&piece);
        } else if sent == script.len() && owed.is_empty() {
            break;
        }
        let to_target = visit.seen.to(Leg::Upstream);
        owed.extend(server.take(&to_target[read..]));
        read = to_target.len();
    }
    visit.bot(&pg::frame(b'X', b""));
    for text in &server.texts {
        let accepted = ALLOWED.iter().any(|(allowed, _)| allowed == text);
        assert!(accepted || text == POISON, "{text} reached the target");
    }
    (visit.session.id(), bot, visit.seen)
}

/// What must hold of a seed once its recording can be read.
fn check(bot: &Bot, seen: &Seen, told: &Told) {
    assert_eq!(seen.closed, Some(CloseReason::BotFinished));
    assert_eq!(told.end(), "bot_finished");
    assert!(told.crossed() == seen.forwarded, "what crossed is not what was recorded");
    let heard = seen.heard();
    let turns = turns(&heard);
    assert_eq!(turns.len(), 1 + bot.asked.len(), "{heard}");
    let mut records: Vec<&Exchange> = told.exchanges.iter().collect();
    records.sort_by_key(|exchange| exchange.number);
    let mut records = records.into_iter().peekable();
    // The first turn is the login's.
    for (asked, turn) in bot.asked.iter().zip(turns.into_iter().skip(1)) {
        let error = turn.split("E(").nth(1).and_then(|rest| rest.split(')').next());
        let its =
            |record: &&Exchange| record.text == asked.text && record.error.as_deref() == error;
        let Some(record) = records.next_if(its) else {
            // A text that the target would not even prepare has run nowhere: when its Bind comes,
            // the target skips it already.
            assert!(asked.extended && error == Some("25P02"), "no record of {}", asked.text);
            continue;
        };
        let denied = DENIED.contains(&asked.text);
        assert_eq!(record.verdict, if denied { "deny" } else { "allow" }, "{}", asked.text);
        assert!(!denied || error.is_some(), "{} was answered", asked.text);
        let answer = ALLOWED.iter().find(|(text, _)| *text == asked.text);
        if let (None, Some((_, Some(rows)))) = (error, answer)
            && asked.text.starts_with("SELECT")
        {
            assert_eq!(record.rows, *rows as u64, "{}", asked.text);
            assert_eq!(turn.matches('D').count(), *rows, "{turn}");
        }
    }
    assert_eq!(records.next(), None, "a record that nobody asked for");
}

/// What the bot heard, cut behind each ReadyForQuery.
fn turns(heard: &str) -> Vec<String> {
    let mut turns = vec![String::new()];
    for message in heard.split(' ').filter(|message| !message.is_empty()) {
        let turn = turns.last_mut().unwrap();
        turn.push_str(message);
        if message.starts_with("Z(") {
            turns.push(String::new());
        }
    }
    assert_eq!(turns.pop().as_deref(), Some(""), "an answer has no end");
    turns
}

/// Says which seed failed, when one does.
struct Naming(u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}", self.0);
        }
    }
}

#[test]
fn whatever_a_bot_sends_only_accepted_text_passes_and_every_statement_is_recorded_once() {
    let house = House::new();
    let mut played = Vec::new();
    for seed in 0..SEEDS {
        let _naming = Naming(seed);
        played.push((seed, play(&house, seed)));
    }
    let told = house.told();
    for (seed, (id, bot, seen)) in &played {
        let _naming = Naming(*seed);
        check(bot, seen, &told[id]);
    }
}
