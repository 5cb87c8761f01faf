use super::*;

fn news(kind: &str, text: &str) -> String {
    let line = json!({
        "id": "apr_1", "state": "pending", "hash": "abcdef0123456789", "account": "deploy",
        "subject": "repo:acme/shop", "claims": { "actor": "<!channel> *carol*" },
        "target": "shop", "database": "shop", "peer": "10.0.0.1:5000", "session": "s",
        "exchange": 1, "rule": "p/updates", "effects": ["update"], "text": text,
        "parameters": [], "in_transaction": true, "reviewers": [], "quorum": 1,
        "created_unix_ms": 1, "expires_unix_ms": 2, "stands_ms": 1,
        "votes": [{ "by": "alice", "uid": 1, "approve": false, "unix_ms": 1 }],
        "reason": if kind == "approval.decided" { Some("<@U1> not `today`") } else { None },
    });
    json!({ "type": kind, "timestamp": "2026-01-01T00:00:00Z", "data": line }).to_string()
}

fn blocks(kind: &str, text: &str) -> Value {
    serde_json::from_str(&slack(&news(kind, text)).unwrap()).unwrap()
}

/// The preformatted text.
fn preformatted(message: &Value) -> String {
    let blocks = message["blocks"].as_array().unwrap();
    let block = blocks.iter().find(|block| block["type"] == "rich_text").unwrap();
    block["elements"][0]["elements"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_signature_is_that_of_the_standard() {
    // The example that the standard's own reference libraries are tested by.
    let told = signature(
        b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        "{\"test\": 2432232314}",
    );
    assert_eq!(told.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(matches!(signature(b"whsec_!", "m", 1, ""), Err(MessageError::Secret(_))));
    assert!(signature(b"any secret", "m", 1, "").is_ok());
}

#[test]
fn nothing_of_a_bots_is_where_marks_are_read() {
    let text = "UPDATE t SET a = '<!channel> *bold* ```' -- <https://evil.example|approve>";
    for kind in ["approval.created", "approval.decided", "approval.used"] {
        let message = blocks(kind, text);
        assert_eq!(message["text"], "Narrows: apr_1 pending", "the one text with marks");
        for block in message["blocks"].as_array().unwrap() {
            let texts = match block["type"].as_str().unwrap() {
                "section" => vec![&block["text"]["type"]],
                "context" => {
                    block["elements"].as_array().unwrap().iter().map(|one| &one["type"]).collect()
                }
                "rich_text" => {
                    assert_eq!(block["elements"][0]["type"], "rich_text_preformatted");
                    continue;
                }
                other => panic!("{other}"),
            };
            assert!(texts.iter().all(|kind| **kind == "plain_text"), "{block}");
        }
    }
    assert_eq!(preformatted(&blocks("approval.created", text)), text);
}

#[test]
fn what_hides_or_turns_text_around_is_shown_by_its_code() {
    let message = blocks("approval.created", "SELECT 1;\r\u{202e}DROP\u{200b}\n\tx");
    assert_eq!(preformatted(&message), "SELECT 1;\\r\\u{202e}DROP\\u{200b}\n\tx");
}

#[test]
fn a_long_command_has_both_ends_and_says_that_there_is_more() {
    let middle = "é".repeat(4_000);
    let text = format!("UPDATE begin {middle} WHERE end");
    let message = blocks("approval.created", &text);
    let told = preformatted(&message);
    assert!(told.len() < CHAT_TEXT_BYTES_MAX + 64, "{}", told.len());
    assert!(told.starts_with("UPDATE begin ") && told.ends_with("WHERE end"), "{told}");
    assert!(told.contains("bytes are not shown"), "{told}");
    let message = message.to_string();
    assert!(message.contains("Too long to be shown here in full"), "{message}");
    assert!(message.contains("hash abcdef0123456789"), "{message}");
    // Exactly what fits is whole.
    let fits = "x".repeat(CHAT_TEXT_BYTES_MAX);
    assert_eq!(preformatted(&blocks("approval.created", &fits)), fits);
}

#[test]
fn the_headline_says_who_decided_and_why() {
    let message = blocks("approval.decided", "x");
    let told = message["blocks"][0]["text"]["text"].as_str().unwrap();
    assert_eq!(told, "apr_1 of deploy was rejected by alice: <@U1> not `today`");
}
