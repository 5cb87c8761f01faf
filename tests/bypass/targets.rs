//! A target that lies: it closes its own session and learns no password. Here the attacker is the
//! server, so this file is one; what it does is named by the database that a bot asks for.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::postgres::Role;
use crate::support::process::eventually;
use crate::support::raw::{Raw, cancel_request, message, query, transcript};
use crate::world::{Account, Room, world};

/// The port of the lying server, which runs as long as the tests do.
pub fn port() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || serve(stream));
            }
        });
        port
    })
}

/// What the gateway has said to the lying server, by deed; `None` behind it once it has hung up.
static HEARD: Mutex<Option<HashMap<String, Heard>>> = Mutex::new(None);

#[derive(Clone, Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

fn heard(deed: &str) -> Heard {
    HEARD.lock().unwrap().as_ref().and_then(|heard| heard.get(deed)).cloned().unwrap_or_default()
}

struct Lies {
    deed: String,
    stream: TcpStream,
}

fn serve(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut start = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut start).unwrap();
    let mut words = start[4..].split(|byte| *byte == 0);
    words.find(|word| *word == b"database");
    let deed = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
    let mut lies = Lies { deed, stream };
    lies.act();
    while lies.listen() {}
    let mut heard = HEARD.lock().unwrap();
    heard.get_or_insert_default().entry(lies.deed.clone()).or_default().ended = true;
}

impl Lies {
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Takes what has come; false at the end.
    fn listen(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let Ok(count @ 1..) = self.stream.read(&mut buffer) else { return false };
        let mut heard = HEARD.lock().unwrap();
        let heard = heard.get_or_insert_default().entry(self.deed.clone()).or_default();
        heard.bytes.extend(&buffer[..count]);
        true
    }

    fn act(&mut self) {
        let nonce = |lies: &mut Self| {
            lies.say(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"));
            lies.listen();
            let said = String::from_utf8_lossy(&heard(&lies.deed).bytes).into_owned();
            said.split("r=").nth(1).unwrap_or_default().to_owned()
        };
        let challenge = |text: &str| message(b'R', &[b"\0\0\0\x0b", text.as_bytes()].concat());
        match self.deed.as_str() {
            "clear password" => self.say(&message(b'R', &[0, 0, 0, 3])),
            "clear password after an error" => {
                self.say(&message(b'E', b"SERROR\0C28000\0Mtry again\0\0"));
                self.say(&message(b'R', &[0, 0, 0, 3]));
            }
            "a method that nobody knows" => self.say(&message(b'R', &[0, 0, 0, 99])),
            "a method without a number" => self.say(&message(b'R', b"")),
            "a login message of 2 GiB" => self.say(&[b'R', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
            "a login message of 1 MiB" => self.say(&message(b'R', &vec![0; 1 << 20])),
            "a refusal without a code" => self.say(&message(b'E', b"MI will not\0\0")),
            "a refusal without a word" => self.say(&message(b'E', b"\0")),
            "a refusal without an end" => self.say(&message(b'E', b"MI will not")),
            "HTTP" => self.say(b"HTTP/1.1 200 OK\r\n\r\n"),
            "two billion rounds" => {
                let nonce = nonce(self);
                self.say(&challenge(&format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=2000000000")));
            }
            "no rounds" => {
                let nonce = nonce(self);
                self.say(&challenge(&format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=0")));
            }
            "another nonce" => {
                let _ = nonce(self);
                self.say(&challenge("r=mine,s=QSXCR+Q6sek8bf92,i=4096"));
            }
            "a nonce without end" => {
                let long = nonce(self) + &"x".repeat(60_000);
                self.say(&challenge(&format!("r={long},s=QSXCR+Q6sek8bf92,i=4096")));
            }
            "a wrong signature" => {
                let nonce = nonce(self);
                self.say(&challenge(&format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=4096")));
                self.listen();
                let last =
                    [b"\0\0\0\x0c".as_slice(), b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="];
                self.say(&message(b'R', &last.concat()));
                self.greet();
            }
            "no proof at all" => {
                let _ = nonce(self);
                self.greet();
            }
            _ => {
                self.greet();
                self.in_session();
            }
        }
    }

    /// A login without any password, and a session.
    fn greet(&mut self) {
        let bytes = [
            message(b'R', &[0, 0, 0, 0]),
            message(b'S', b"client_encoding\0UTF8\0"),
            message(b'S', b"standard_conforming_strings\0on\0"),
            message(b'K', &[0, 0, 0, 1, 1, 2, 3, 4]),
            message(b'Z', b"I"),
        ];
        self.say(&bytes.concat());
    }

    fn in_session(&mut self) {
        let deed = self.deed.clone();
        let deed = deed.as_str();
        match deed {
            "a row before any question" => self.say(&message(b'D', &[0, 0])),
            "ready before any question" => self.say(&message(b'Z', b"I")),
            "an error before any question" => self.say(&message(b'E', b"SERROR\0Mx\0\0")),
            _ => {}
        }
        self.listen();
        let done = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
        let lie = match deed {
            "more answers than questions" => [done.clone(), done].concat(),
            "ready too early" => message(b'Z', b"I"),
            "ready twice" => [done, message(b'Z', b"I")].concat(),
            "a status that is none" => [message(b'C', b"SELECT 1\0"), message(b'Z', b"X")].concat(),
            "a row of 2 GiB" => [b'D', 0x7f, 0xff, 0xff, 0xff, 0, 1].to_vec(),
            "a row of minus one" => [b'D', 0xff, 0xff, 0xff, 0xff, 0, 1].to_vec(),
            "a length of three" => [b'C', 0, 0, 0, 3].to_vec(),
            "a tag without an end" => message(b'C', b"SELECT 1"),
            "an unknown message" => message(b'!', b"x"),
            "a replication stream" => message(b'W', &[0, 0, 0]),
            "a function's result" => message(b'V', &[0xff; 4]),
            "a second login" => message(b'R', &[0, 0, 0, 0]),
            "a question for the password" => message(b'R', &[0, 0, 0, 3]),
            "a second key" => message(b'K', &[0, 0, 0, 1, 1, 2, 3, 4]),
            "a parse completed that nobody sent" => message(b'1', b""),
            "a bind completed that nobody sent" => message(b'2', b""),
            "a suspended portal" => message(b's', b""),
            "copied data that nobody asked for" => message(b'd', b"x"),
            "a setting of 2 MiB" => {
                message(b'S', &[b"application_name\0", &vec![b'x'; 2 << 20][..], b"\0"].concat())
            }
            "a setting without an end" => message(b'S', b"client_encoding\0UTF8"),
            "a row that breaks off" => {
                self.say(&[b'D', 0, 0, 0, 100, 0, 1, 0]);
                let _ = self.stream.shutdown(std::net::Shutdown::Write);
                return;
            }
            "silence" => return,
            "an error without a code" => [message(b'E', b"Mx\0\0"), message(b'Z', b"I")].concat(),
            _ => Vec::new(),
        };
        self.say(&lie);
    }
}

const AT_LOGIN: [&str; 16] = [
    "clear password",
    "clear password after an error",
    "a method that nobody knows",
    "a method without a number",
    "a login message of 2 GiB",
    "a login message of 1 MiB",
    "a refusal without a code",
    "a refusal without a word",
    "a refusal without an end",
    "HTTP",
    "two billion rounds",
    "no rounds",
    "another nonce",
    "a nonce without end",
    "a wrong signature",
    "no proof at all",
];

const IN_SESSION: [&str; 24] = [
    "a row before any question",
    "ready before any question",
    "an error before any question",
    "more answers than questions",
    "ready too early",
    "ready twice",
    "a status that is none",
    "a row of 2 GiB",
    "a row of minus one",
    "a length of three",
    "a tag without an end",
    "an unknown message",
    "a replication stream",
    "a function's result",
    "a second login",
    "a question for the password",
    "a second key",
    "a parse completed that nobody sent",
    "a bind completed that nobody sent",
    "a suspended portal",
    "copied data that nobody asked for",
    "a setting of 2 MiB",
    "a setting without an end",
    "a row that breaks off",
];

#[test]
fn a_lie_during_the_login_ends_it_and_gives_no_password_away() {
    let mut neighbour = Room::open("liars_at_login").login(Account::Reader);
    for deed in AT_LOGIN {
        let endpoint = world().liar(deed);
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let started = Instant::now();
        let words = transcript(&raw.authenticate(&endpoint));
        assert!(words.starts_with("E(FATAL"), "{deed}: {words}");
        assert!(raw.is_finished(), "{deed}");
        assert!(started.elapsed() < Duration::from_secs(5), "{deed}");
        let password = Role::App.password();
        let told = heard(deed).bytes.windows(password.len()).any(|w| w == password.as_bytes());
        assert!(!told, "{deed}: the target has the password");
        assert_eq!(neighbour.query("SELECT 1"), "T D C(SELECT 1) Z(I)", "after {deed}");
    }
}

#[test]
fn a_lie_during_the_session_ends_that_session_alone() {
    let mut neighbour = Room::open("liars").login(Account::Reader);
    for deed in IN_SESSION {
        let endpoint = world().liar(deed);
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let started = Instant::now();
        let greeting = transcript(&raw.authenticate(&endpoint));
        assert!(greeting.starts_with("R S S K "), "{deed}: {greeting}");
        // Behind a question, these would be answers to it.
        if !deed.ends_with("before any question") {
            let _ = raw.try_send(&query("SELECT 1"));
        }
        let mut seen = Vec::new();
        while let Some(byte) = raw.read_byte() {
            seen.push(byte);
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{deed}");
        let shown = seen.windows(8).filter(|w| w.starts_with(b"C\0\0\0\x0dSEL")).count();
        assert!(shown <= 1, "{deed}: {seen:?}");
        let lie =
            [b"R\0".as_slice(), b"W\0", b"V\0", b"!\0"].iter().any(|tag| seen.starts_with(tag));
        assert!(!lie, "{deed}: {seen:?}");
        eventually(&format!("the gateway leaves: {deed}"), Duration::from_secs(5), || {
            heard(deed).ended
        });
        let password = Role::App.password();
        let told = heard(deed).bytes.windows(password.len()).any(|w| w == password.as_bytes());
        assert!(!told, "{deed}: the target has the password");
        assert_eq!(neighbour.query("SELECT 1"), "T D C(SELECT 1) Z(I)", "after {deed}");
    }
}

#[test]
fn an_error_without_a_code_is_an_error() {
    let mut raw = Raw::login(&world().liar("an error without a code"));
    assert_eq!(
        transcript(&{
            raw.send(&query("SELECT 1"));
            raw.until_ready()
        }),
        "E( ) Z(I)"
    );
}

#[test]
fn a_target_that_never_answers_holds_nobody_but_its_own_bot() {
    let mut neighbour = Room::open("silence").login(Account::Reader);
    let mut raw = Raw::login(&world().liar("silence"));
    raw.send(&query("SELECT 1"));
    let (pid, secret) = raw.key.clone().unwrap();
    let mut cancel = Raw::plain(world().liar("silence").port);
    cancel.send(&cancel_request(pid, &secret));
    assert_eq!(cancel.read_byte(), None);
    assert_eq!(neighbour.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    drop(raw);
    eventually("the gateway leaves", Duration::from_secs(10), || heard("silence").ended);
}
