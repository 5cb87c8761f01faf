//! News of held commands, to receivers that are there, late or gone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::postgres::{Role, Version};
use crate::support::process::free_port;
use crate::support::raw::{Raw, query};
use crate::world;

/// A signed message, or one without a signature for a chat.
struct Heard {
    head: Vec<String>,
    body: String,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn is_signed(&self) -> bool {
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = format!("{id}.{at}.{}", self.body);
        let key = hmac::Key::new(hmac::HMAC_SHA256, KEY);
        let tag = STANDARD.decode(self.header("webhook-signature").strip_prefix("v1,").unwrap());
        hmac::verify(&key, signed.as_bytes(), &tag.unwrap()).is_ok()
    }
}

const KEY: &[u8] = b"a key that is known to both sides";

/// Takes every message on a port of loopback.
fn receive(port: u16) -> Receiver<Heard> {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(&stream);
            let (mut head, mut line) = (Vec::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head.push(line.trim_end().to_owned());
                line.clear();
            }
            let mut told = Heard { head, body: String::new() };
            let mut body = vec![0; told.header("content-length").parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            told.body = String::from_utf8(body).unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            (&stream).write_all(answer).unwrap();
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    heard
}

fn next(heard: &Receiver<Heard>) -> Heard {
    heard.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn receivers_hear_of_each_step_and_those_who_were_away_after_a_restart() {
    let database = world::database(Version::V15, "held_told");
    world::passage();
    let [here, chat, away] = [free_port(), free_port(), free_port()];
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let secret = world::pki().secret("webhook.secret", &secret);
    let slack = format!("http://127.0.0.1:{chat}/services/T/B/x");
    let slack = world::pki().secret("slack.url", &slack);
    let (secret, slack) = (secret.display().to_string(), slack.display().to_string());
    let mut passage = world::altered_passage(&[], |config| {
        let webhook = |name: &str, port: u16| {
            format!(
                "\n[[notifier]]\nname = \"{name}\"\nkind = \"webhook\"\n\
                 url = \"http://127.0.0.1:{port}/hook\"\nsecret = {{ file = \"{secret}\" }}\n"
            )
        };
        let chat = format!(
            "\n[[notifier]]\nname = \"chat\"\nkind = \"slack\"\nurl = {{ file = \"{slack}\" }}\n"
        );
        config + super::holding::RULES + &webhook("away", away) + &webhook("here", here) + &chat
    });
    let (heard, seen) = (receive(here), receive(chat));

    let text = "UPDATE products SET price = 77.01 WHERE id = 1 /* <!channel> *bold* */";
    let mut raw = Raw::login(&passage.endpoint(Version::V15, Role::App, &database));
    raw.send(&query(text));
    let created = next(&heard);
    assert!(created.is_signed(), "{:?}", created.head);
    let news = created.json();
    assert_eq!(news["type"], "approval.created");
    assert_eq!(news["data"]["text"], text);
    assert_eq!(news["data"]["account"], "shop-bot");
    let shown = next(&seen);
    assert_eq!(shown.header("webhook-signature"), "");
    assert!(shown.json()["blocks"].to_string().contains("<!channel> *bold*"));
    assert!(!shown.json()["text"].to_string().contains("channel"));

    let (id, hash) = (news["data"]["id"].as_str().unwrap(), &news["data"]["hash"]);
    let hash = &hash.as_str().unwrap()[..12];
    passage.gateway.stdout(&["approvals", "approve", id, "--hash", hash]);
    let mut kinds: Vec<Value> = (0..2).map(|_| next(&heard).json()["type"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["approval.decided", "approval.used"]);

    // Nobody listened there so far.
    passage.gateway.kill();
    let late = receive(away);
    passage.gateway.restart();
    let mut kinds: Vec<Value> = (0..3)
        .map(|_| {
            let told = next(&late);
            assert!(told.is_signed());
            told.json()["type"].clone()
        })
        .collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["approval.created", "approval.decided", "approval.used"]);
}
