//! Every bound of the product, with its reason; const assertions relate them.
//! A section a room, in the order of lib.rs.

// io

/// A receive buffer. Holds a full TLS record's plaintext, and most answers whole.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// Receive buffers a worker: 16 MiB in one mapping.
pub const CHUNKS_PER_WORKER: usize = 1024;
/// Below this many free chunks, received bytes are copied out and the chunk returned at once.
pub const CHUNKS_FREE_LOW: usize = CHUNKS_PER_WORKER / 4;
const _: () = assert!(CHUNKS_FREE_LOW < CHUNKS_PER_WORKER);
/// A leg with more than this queued for sending makes the other leg stop receiving.
pub const SEND_QUEUE_BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(SEND_QUEUE_BYTES_MAX >= 4 * CHUNK_BYTES);
/// Chunks that receiving leaves alone, so that a writer finds one when every reader is parked.
pub const CHUNKS_FOR_WRITING: usize = CHUNKS_PER_WORKER / 16;
const _: () = assert!(CHUNKS_FOR_WRITING < CHUNKS_FREE_LOW);
/// Connections a worker: an index must fit the 24 bits that it has in a completion's token.
pub const CONNS_PER_WORKER_MAX: usize = 64 * 1024;
const _: () = assert!(CONNS_PER_WORKER_MAX <= 1 << 24);
/// Pieces gathered into one send: a whole queue of full chunks, and room for as many small ones.
pub const SEND_PIECES_MAX: usize = 32;
const _: () = assert!(SEND_PIECES_MAX * CHUNK_BYTES >= SEND_QUEUE_BYTES_MAX);
/// A chunk with no more than this in it is copied out when it must wait behind a send in flight:
/// a stuck reader's queue would otherwise pin a whole chunk for a few bytes each.
pub const CHUNK_WORTH_PINNING_BYTES: usize = CHUNK_BYTES / 4;
/// Entries in a ring's submission queue; a fuller turn submits in between.
pub const RING_ENTRIES: u32 = 512;
/// Chunks lent to the ring at first. Few, so that the same warm pages are used again and again;
/// doubled whenever the ring runs dry while the pool has more.
pub const RING_LENT_FIRST: usize = 64;
const _: () = assert!(RING_LENT_FIRST <= CHUNKS_PER_WORKER - CHUNKS_FOR_WRITING);
/// Events read from epoll at once.
pub const EPOLL_EVENTS: usize = 256;
/// Connections taken from one listener's queue at once, so that a burst starves nobody.
pub const ACCEPTS_A_TURN: usize = 64;
/// After running out of descriptors, a listener is tried again at the latest after this long.
pub const ACCEPT_RETRY_MS: u64 = 100;
/// A peer that has been silent for so long is probed, so often, so many times: one whose machine or
/// network is gone frees its session after two minutes, and a live one costs a packet a minute.
pub const KEEPALIVE_IDLE_S: u64 = 60;
pub const KEEPALIVE_INTERVAL_S: u64 = 10;
pub const KEEPALIVE_PROBES: u32 = 6;
/// Plaintext handed to TLS before its ciphertext is taken out: a few records.
pub const TLS_BUFFER_BYTES: usize = 64 * 1024;
const _: () = assert!(TLS_BUFFER_BYTES >= CHUNK_BYTES);

// scan

/// The longest user and password that are looked for before the `@` of a URL.
pub const SCANNED_PASSWORD_BYTES_MAX: usize = 256;
/// The longest token that is told by its prefix; none that is published has a third of it.
pub const SCANNED_TOKEN_BYTES_MAX: usize = 1024;
/// The longest JWT header that is decoded; one with a certificate chain is about so long.
pub const SCANNED_HEADER_BYTES_MAX: usize = 8 * 1024;
/// Base64 in one piece without which a PEM header is taken for prose about keys: a quarter line.
pub const SCANNED_KEY_BYTES_MIN: usize = 16;
/// Expressions of operators' own, in all policies together: each has its bit in a set of entities.
pub const SCANNED_PATTERNS_MAX: usize = 40;
/// Such an expression as written; a list of alternatives that is longer is a list of values.
pub const SCANNED_PATTERN_TEXT_BYTES_MAX: usize = 1024;
/// Groups within groups: what reads an expression does so by recursion.
pub const SCANNED_PATTERN_DEPTH_MAX: u32 = 32;
/// The longest value that an expression may describe. Around each place that may be of a value, twice
/// as many bytes are searched.
pub const SCANNED_PATTERN_VALUE_BYTES_MAX: usize = 1024;
/// What an expression may take once compiled; its automaton's cache, eight times that on each thread.
pub const SCANNED_PATTERN_COMPILED_BYTES_MAX: usize = 128 * 1024;

// wire

/// A session that has changed definitions waits so long for a catalogue that knows of it, then goes
/// on with one that does not: what it does not know is replaced.
pub const CATALOGUE_WAIT_MS_MAX: u64 = 2_000;
/// How often it looks meanwhile.
pub const CATALOGUE_LOOK_MS: u64 = 10;
/// Statement text above this is refused with the protocol's own error: nobody can judge half of it.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// PostgreSQL's own bound for a start-up packet; all that an unknown peer can make us hold.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// A password message, with its header. PostgreSQL's own bound for authentication tokens.
pub const PASSWORD_MESSAGE_BYTES_MAX: usize = 64 * 1024;
const _: () = assert!(PASSWORD_MESSAGE_BYTES_MAX > TOKEN_BYTES_MAX);
/// A target's message during its login: challenges and refusals are short.
pub const LOGIN_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// No PostgreSQL message is longer; a larger length is a lie or a lost boundary.
pub const MESSAGE_BYTES_MAX: u32 = 0x4000_0000;
/// Messages that are read whole but never large: names, tags, column formats.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A setting that the target reports; `search_path` has no bound of its own.
pub const SETTING_BYTES_MAX: usize = 1024 * 1024;
/// The beginning of an error that is searched for its code; the rest streams through.
pub const ERROR_WINDOW_BYTES: usize = 8 * 1024;
/// A row or a copied row in which values may have to be replaced is held whole up to here. Of a larger
/// row the front is, and what is behind it streams or ends its result with an error; a larger copied
/// row ends it always.
pub const SHOWN_ROW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An error, a notice or a notification that is searched for values is held whole up to here.
pub const SHOWN_WORDS_BYTES_MAX: usize = 1024 * 1024;
/// A description of 1,664 columns, the most that the server has, with names of full length.
pub const DESCRIPTION_BYTES_MAX: usize = 256 * 1024;
/// Parameters within so much of a Bind message are shown to the judge; the rest streams through.
pub const BIND_WINDOW_BYTES: usize = 64 * 1024;
/// So much of a text that is too large goes into the record of its refusal.
pub const REFUSED_TEXT_BYTES: usize = 8 * 1024;
/// Commands that await their answers in one session; beyond, the bot waits. A PostgreSQL server
/// sends at least five bytes a command and holds back 8 KiB at most, so that waiting always ends.
pub const PENDING_MAX: usize = 8 * 1024;
const _: () = assert!(PENDING_MAX * 5 > 2 * 8192);
/// Prepared statements, cursors and portals of one session, each; and their texts together.
pub const NAMES_MAX: usize = 4096;
pub const NAMED_TEXT_BYTES_MAX: usize = 2 * STATEMENT_BYTES_MAX;
/// Facts of one name are joined over so many statements; beyond, the name counts as unknown.
pub const JOINED_STATEMENTS_MAX: usize = 64;
/// PostgreSQL compares so many bytes of a statement's name. Longer ones could be mistaken for
/// one another.
pub const NAME_BYTES_MAX: usize = 63;
/// Rounds that a target may ask for in SCRAM: about 40 ms of one worker. The default is 4,096.
pub const SCRAM_ROUNDS_MAX: u32 = 100_000;
/// A target's nonce and salt in SCRAM.
pub const SCRAM_FIELD_BYTES_MAX: usize = 1024;
/// The longest cancel key that protocol 3.2 knows.
pub const CANCEL_SECRET_BYTES_MAX: usize = 256;

// judge

/// Longer text is not parsed and stays unknown: parsing costs about a microsecond a byte at worst,
/// and the worker's other sessions wait for it.
pub const PARSED_TEXT_BYTES_MAX: usize = 64 * 1024;
const _: () = assert!(PARSED_TEXT_BYTES_MAX <= STATEMENT_BYTES_MAX);
/// Bytes that the grammar's lexer may look at for one text: about ten milliseconds.
pub const LEXER_STEPS_MAX: usize = 4 * 1024 * 1024;
const _: () = assert!(LEXER_STEPS_MAX > PARSED_TEXT_BYTES_MAX);
/// Parentheses, subqueries and operators within each other that the second grammar follows.
pub const PARSED_NESTING_MAX: usize = 50;
/// Tokens in a row, without a comma, that the second grammar is given: each may be a level of its
/// tree, which is walked and dropped by recursion.
pub const PARSED_CHAIN_MAX: usize = 2_000;
/// Stack that a thread needs for classifying: the deepest tree that is decoded takes a quarter.
pub const CLASSIFIER_STACK_BYTES: usize = 8 * 1024 * 1024;
/// Facts by exact text, a worker.
pub const EXACT_CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Facts by shape of text, a worker.
pub const SHAPE_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Rules of one policy; each is asked for each command.
pub const RULES_MAX: usize = 1000;
/// A rule's `cel`, as written. It has at most one level of loops, so this times the items that a loop
/// goes through bounds what an evaluation costs.
pub const EXPRESSION_BYTES_MAX: usize = 1024;
/// Items of a command that an expression is shown; with more of them it has no outcome.
pub const EXPRESSION_ITEMS_MAX: usize = 256;
/// An expression is evaluated by recursion, on a worker's stack.
pub const EXPRESSION_DEPTH_MAX: usize = 32;
/// What a rule's regular expressions may take once compiled, in each of their forms.
pub const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// So many names of a statement are kept once each; in longer lists they may repeat.
pub const DISTINCT_NAMES_CHECKED: usize = 64;
/// A value that may be made of more columns than this counts as made of anything.
pub const DRAWN_COLUMNS_MAX: usize = 64;
/// What each column of a result may hold is kept for so many; PostgreSQL has no wider results.
pub const OUTPUT_COLUMNS_MAX: usize = 1664;

/// How long a held command stands for a human to decide, and how long its bot waits for that, where
/// a rule does not say; and what a rule may say at most.
pub const HOLD_STANDS_MS: u64 = 15 * 60_000;
pub const HOLD_STANDS_MS_MAX: u64 = 24 * 3_600_000;
/// Less than a minute: bots and what stands between have time-outs of that.
pub const HOLD_WAIT_MS: u64 = 55_000;
pub const HOLD_WAIT_MS_MAX: u64 = 3_600_000;

// mask

// record

/// A block is cut once its runs fill this much: larger compresses little better, and a reader
/// decompresses a whole block to show one statement.
pub const BLOCK_RAW_BYTES: usize = 64 * 1024;
/// A longer run is split, so that the buffers of a reader stay bounded.
pub const RUN_BYTES_MAX: usize = 16 * 1024;
/// No block that we write decompresses to more; a reader refuses one that says it would.
pub const BLOCK_RAW_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(BLOCK_RAW_BYTES + RUN_BYTES_MAX + 32 <= BLOCK_RAW_BYTES_MAX);
/// An exchange record larger than this keeps the beginning of its text; the wire run has it whole.
pub const EXCHANGE_BYTES_MAX: usize = 512 * 1024;
/// A session's first buffer. Most sessions never need more between two cuts.
pub const TAP_BYTES_SMALL: usize = 4 * 1024;
/// Buffers of each size that a worker keeps for its next open blocks.
pub const TAP_BUFFERS_KEPT: usize = 64;
/// Bytes of one session that may wait for the recorder before its worker stops receiving.
pub const SESSION_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same over all sessions of a recorder.
pub const RECORDER_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
const _: () = assert!(SESSION_QUEUE_BYTES_MAX <= RECORDER_QUEUE_BYTES_MAX);
/// Blocks that may wait for the recorder, the one that each open session keeps for its end included.
pub const RECORDER_QUEUE_BLOCKS_MAX: usize = 64 * 1024;
/// Age at which an open block is cut where nothing promises an earlier time.
pub const CUT_AGE_MS: u64 = 200;
/// In every mode but `async`, bytes are durable this long after they were recorded, plus one commit.
/// Half of it may pass in the open block and half in the recorder.
pub const GROUP_WINDOW_MS: u64 = 20;
const _: () = assert!(GROUP_WINDOW_MS < CUT_AGE_MS);
/// Blocks are written once this much has gathered, whatever the mode: small appends cost twice.
pub const WRITE_BYTES: usize = 256 * 1024;
/// Written bytes that may await their sync; they stay in memory, to be written again if it fails.
pub const UNSYNCED_BYTES_MAX: usize = 2 * 1024 * 1024;
// All of them may be one session's, which goes on filling its queue while they are synced.
const _: () = assert!(2 * UNSYNCED_BYTES_MAX <= SESSION_QUEUE_BYTES_MAX);
/// Buffers of written batches that the recorder keeps for the next ones.
pub const BATCH_BUFFERS_KEPT: usize = UNSYNCED_BYTES_MAX / WRITE_BYTES;
/// How often a failed recorder tries to open a new segment.
pub const RECORDER_RETRY_MS: u64 = 1_000;
/// Sessions of which a failed recorder remembers what each of them lost; the rest is one sum.
pub const LOSSES_MAX: usize = 16 * 1024;
/// A segment's size unless configured, and the bounds of what can be configured.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024 * 1024;
pub const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
const _: () = assert!(SEGMENT_BYTES_MIN > 2 * BLOCK_RAW_BYTES_MAX as u64);
/// A wall clock that steps further than this leaves a record of it.
pub const CLOCK_STEP_MS: u64 = 100;
/// How often a follower looks for more.
pub const FOLLOW_POLL_MS: u64 = 200;
/// Different statements that the policy tools remember of a recording, and the text of each that
/// they show: together no more than a workstation can spare.
pub const PAST_STATEMENTS_MAX: usize = 16 * 1024;
pub const PAST_TEXT_BYTES_MAX: usize = 4 * 1024;
/// How far back a match can begin before the run that it ends in. Kept for every open session.
pub const GREP_OVERLAP_BYTES: usize = 4 * 1024;

// session

/// From accept to the shown token. Slow networks manage; a silent client does not stay.
pub const LOGIN_MS_MAX: u64 = 30_000;
/// From the shown token to the target's greeting: key refresh, lease, connect, target login.
pub const DIAL_MS_MAX: u64 = 20_000;
/// To deliver one cancel request to a target.
pub const ERRAND_MS_MAX: u64 = 10_000;
/// Statement text that an exchange record repeats; the wire runs hold all of it.
pub const EXCHANGE_TEXT_BYTES_MAX: usize = 64 * 1024;
const _: () = assert!(EXCHANGE_TEXT_BYTES_MAX < STATEMENT_BYTES_MAX);

/// The highest limit of statements a minute: a million a second, more than a worker judges.
pub const STATEMENTS_PER_MINUTE_MAX: u32 = 60_000_000;

/// A command that is held must be whole before the human who decides.
pub const HOLD_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Whoever keeps requests has so long to answer that one is on record.
pub const HOLD_REPLY_MS_MAX: u64 = 5_000;
/// How often a bot hears that its command still waits: under the time-outs of what stands between.
pub const HOLD_NOTICE_MS: u64 = 10_000;
/// Locks of an open transaction wait with the command.
pub const HOLD_IN_TRANSACTION_MS: u64 = 30_000;
/// What a bot may send behind a command that waits before it is no longer listened to.
pub const HELD_UNREAD_BYTES_MAX: usize = 64 * 1024;

// worker

/// Messages that wait for a worker. Adopted connections are the bulk of them.
pub const MAILBOX_MESSAGES_MAX: usize = 8192;
/// Live sessions a worker; each costs two sockets and a few KiB.
pub const SESSIONS_PER_WORKER_MAX: usize = 20_000;
/// A worker takes this many sessions before the next worker is woken, however calm they are.
pub const SESSIONS_BEFORE_SPREADING: u32 = 64;
/// A worker this busy takes no session that a calmer one can take.
pub const BUSY_PERMILLE_BEFORE_SPREADING: u32 = 700;
/// How often a worker says how busy it is.
pub const BUSINESS_MS: u64 = 50;
/// Cancel requests that one address may send a second: a four-byte key shall not be guessed.
pub const CANCELS_PER_SOURCE_SECOND_MAX: u32 = 50;
/// Addresses that may send cancel requests within one second.
pub const CANCEL_SOURCES_MAX: usize = 4096;
/// How long a closed session's peer may take to read our last words.
pub const LINGER_MS_MAX: u64 = 2_000;
/// How long a login waits for a key that its issuer has only just begun to use.
pub const UNKNOWN_KEY_WAIT_MS_MAX: u64 = 3_000;
const _: () = assert!(UNKNOWN_KEY_WAIT_MS_MAX < DIAL_MS_MAX);
/// Dial requests that wait for `control`.
pub const DIAL_REQUESTS_MAX: usize = 4096;

// identity

/// A token longer than this is refused before it is parsed.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Nesting of a token's JSON. Kubernetes nests to three; nobody needs eight.
pub const TOKEN_DEPTH_MAX: usize = 8;
/// Members and list items of a token's JSON, all levels together.
pub const TOKEN_MEMBERS_MAX: usize = 512;
/// How far an issuer's clock may differ from ours.
pub const TOKEN_SKEW_S: u64 = 60;
/// A human who decides has logged in within this: a token that lay about for longer approves nothing.
pub const REVIEW_TOKEN_AGE_S_MAX: u64 = 15 * 60;
/// Keys kept of one issuer; large providers publish about ten.
pub const ISSUER_KEYS_MAX: usize = 64;
/// Signature checks spent on one token: several keys may fit one that names none.
pub const TOKEN_KEYS_TRIED_MAX: usize = 8;
const _: () = assert!(TOKEN_KEYS_TRIED_MAX <= ISSUER_KEYS_MAX);
/// RSA moduli outside these are not trusted: below is breakable, above is a way to burn our CPU.
pub const RSA_MODULUS_BITS_MIN: usize = 2048;
pub const RSA_MODULUS_BITS_MAX: usize = 4096;
const _: () = assert!(RSA_MODULUS_BITS_MIN < RSA_MODULUS_BITS_MAX);
/// Keys that could not be refreshed for this long are not trusted any more.
pub const KEYS_STALE_S_MAX: u64 = 24 * 60 * 60;
/// A key id that was just asked for in vain is not asked for again for this long.
pub const KEY_MISS_REMEMBERED_S: u64 = 30;
/// Key ids remembered as missing, an issuer. Peers choose them, so they are few.
pub const KEY_MISSES_MAX: usize = 64;
/// An upstream secret: larger than any password or token, small enough to hold.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// A command that prints a secret gets this long.
pub const SECRET_EXEC_MS_MAX: u64 = 10_000;
/// The whole vault, decrypted, is held in memory for one look-up.
pub const VAULT_BYTES_MAX: u64 = 16 * 1024 * 1024;
const _: () = assert!((SECRET_BYTES_MAX as u64) < VAULT_BYTES_MAX);

// config

/// More pinned threads than any machine of today has cores.
pub const WORKERS_MAX: u16 = 1024;
/// One configuration file; the largest that make sense have a few thousand rules.
pub const CONFIG_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Files that one configuration may be spread over.
pub const CONFIG_FILES_MAX: usize = 256;
/// Length of a configured name; it becomes part of user names and file names.
pub const CONFIG_NAME_BYTES_MAX: usize = 63;

// observe

/// Relay latencies above this are counted as this: one hour.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Significant digits of a latency histogram: one per cent, and 26 KiB each.
pub const LATENCY_DIGITS: u8 = 2;
/// Audit events waiting for the sink's thread. Above it events are lost and counted, for a sink
/// must not hold up a session.
pub const EVENTS_QUEUED_MAX: usize = 16 * 1024;
/// The same bound in bytes of text, since one statement may be as large as thousands of others.
pub const EVENT_QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
const _: () = assert!(EVENT_QUEUE_BYTES_MAX >= 2 * STATEMENT_BYTES_MAX);
/// Statement text in an audit event; collectors cut longer lines at places of their own choosing.
pub const EVENT_TEXT_BYTES_MAX: usize = 8 * 1024;
/// Any other text in an audit event: user names, reasons, names of databases.
pub const EVENT_FIELD_BYTES_MAX: usize = 512;
const _: () = assert!(EVENT_FIELD_BYTES_MAX < EVENT_TEXT_BYTES_MAX);
/// Events taken from the queue and rendered for one write.
pub const EVENTS_BATCHED_MAX: usize = 256;
/// What is read of an existing event file's end, to find the last sequence number in it.
pub const EVENT_FILE_TAIL_BYTES: u64 = 256 * 1024;
const _: () = assert!(EVENT_FILE_TAIL_BYTES as usize > 8 * EVENT_TEXT_BYTES_MAX);

// control

/// To resolve a target's name.
pub const RESOLVE_MS_MAX: u64 = 5_000;
/// How long a drain waits for sessions to fall idle.
pub const DRAIN_MS_MAX: u64 = 30_000;
/// How often a drain looks again.
pub const DRAIN_STEP_MS: u64 = 100;
/// Addresses of one name that are tried in turn.
pub const TARGET_ADDRESSES_MAX: usize = 8;
/// A discovery document or key set, as received.
pub const ISSUER_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A whole request to an issuer, connecting included.
pub const ISSUER_REQUEST_MS_MAX: u64 = 10_000;
/// Key sets are refreshed after this long if the issuer does not say.
pub const KEYS_REFRESH_S: u64 = 300;
/// Bounds for what an issuer says about caching.
pub const KEYS_REFRESH_S_MIN: u64 = 60;
pub const KEYS_REFRESH_S_MAX: u64 = 3600;
const _: () = assert!(KEYS_REFRESH_S_MIN <= KEYS_REFRESH_S && KEYS_REFRESH_S <= KEYS_REFRESH_S_MAX);
const _: () = assert!(KEYS_REFRESH_S_MAX * 2 < KEYS_STALE_S_MAX);
/// After a failed fetch, and between fetches that unknown key ids ask for.
pub const KEYS_RETRY_MS_MIN: u64 = 10_000;
/// Connections that an admin endpoint serves at once; more wait in the kernel.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Request line and headers of an admin request.
pub const ADMIN_HEAD_BYTES_MAX: usize = 16 * 1024;
pub const ADMIN_HEADERS_MAX: usize = 32;
/// Body of an admin request: a kill scope is the largest.
pub const ADMIN_BODY_BYTES_MAX: usize = 4 * 1024;
/// An admin client that has not sent a whole request by then is hung up on.
pub const ADMIN_REQUEST_MS_MAX: u64 = 5_000;
/// A worker that has not reported by then is shown as silent.
pub const WORKER_REPORT_MS_MAX: u64 = 2_000;
/// Sessions told to end have this long to end before the answer counts those that have.
pub const KILL_MS_MAX: u64 = 5_000;
/// Workers told to judge by new tables have this long to answer that they do.
pub const RELOAD_MS_MAX: u64 = 5_000;
/// An answer that the operator's commands read from the admin socket: 100,000 sessions fit.
pub const ADMIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A command gives up on an admin socket that has not answered by then; reloads read files.
pub const ADMIN_ANSWER_MS_MAX: u64 = 60_000;
/// An admin connection ends by then, whatever it is doing; a reload that takes as long goes on.
pub const ADMIN_CONVERSATION_MS_MAX: u64 = 120_000;
const _: () = assert!(ADMIN_CONVERSATION_MS_MAX > ADMIN_ANSWER_MS_MAX);
const _: () = assert!(ADMIN_ANSWER_MS_MAX > KILL_MS_MAX + ADMIN_REQUEST_MS_MAX);
const _: () = assert!(ADMIN_ANSWER_MS_MAX > RELOAD_MS_MAX + ADMIN_REQUEST_MS_MAX);
/// To connect to a target and log in, before its catalogue is read.
pub const CATALOGUE_CONNECT_MS_MAX: u64 = 5_000;
/// One statement of such a reading; thousands of relations take a tenth of it.
pub const CATALOGUE_STATEMENT_MS_MAX: u64 = 10_000;
/// A view that somebody holds a lock on is not waited for: its columns count as computed.
pub const CATALOGUE_LOCK_MS_MAX: u64 = 100;
/// A whole reading. Logins wait for the first one.
pub const CATALOGUE_READ_MS_MAX: u64 = 20_000;
const _: () =
    assert!(CATALOGUE_READ_MS_MAX > CATALOGUE_CONNECT_MS_MAX + CATALOGUE_STATEMENT_MS_MAX);
/// Looking into views gets so much of it; those that are left count as computed.
pub const CATALOGUE_VIEWS_MS_MAX: u64 = 5_000;
/// What is read of one database: about 200 MiB at most. With more, nothing counts as read.
pub const CATALOGUE_RELATIONS_MAX: usize = 100_000;
pub const CATALOGUE_COLUMNS_MAX: usize = 1_000_000;
pub const CATALOGUE_TYPES_MAX: usize = 2 * CATALOGUE_RELATIONS_MAX + 50_000;
pub const CATALOGUE_LABELS_MAX: usize = 200_000;
pub const CATALOGUE_LINKS_MAX: usize = 1_000_000;
/// Views that are looked into, and the longest text of one; others count as computed.
pub const CATALOGUE_VIEWS_MAX: usize = 5_000;
pub const CATALOGUE_VIEW_BYTES_MAX: usize = 256 * 1024;
/// Views that are asked about at once: enough to hide the way to the target and back.
pub const CATALOGUE_VIEWS_AT_ONCE: usize = 64;
/// A catalogue that sessions use is read again after this long, whatever they saw.
pub const CATALOGUE_REFRESH_MS: u64 = 30_000;
/// Between two readings that sessions ask for; doubled up to the second while they bring nothing
/// new, or a bot could keep its target busy by naming what is not there.
pub const CATALOGUE_GAP_MS: u64 = 200;
pub const CATALOGUE_GAP_MS_MAX: u64 = 5_000;
const _: () = assert!(CATALOGUE_GAP_MS_MAX < CATALOGUE_REFRESH_MS);
/// A catalogue that could not be read anew is believed for this long.
pub const CATALOGUE_STALE_MS_MAX: u64 = 300_000;
const _: () = assert!(CATALOGUE_STALE_MS_MAX > 2 * (CATALOGUE_REFRESH_MS + CATALOGUE_READ_MS_MAX));
/// A catalogue that no session uses is kept so long for the next one.
pub const CATALOGUE_KEPT_MS: u64 = 300_000;
/// Databases whose catalogues are kept at once; a bot may name any that its credential opens.
pub const CATALOGUES_MAX: usize = 1_024;
/// `narrows check --live`, whatever the targets do; and the logins that it has open at once.
pub const LIVE_CHECK_MS_MAX: u64 = 60_000;
const _: () = assert!(LIVE_CHECK_MS_MAX > CATALOGUE_READ_MS_MAX);
pub const LIVE_CHECKS_AT_ONCE: usize = 8;
/// Masks without a column, by database, that are remembered as told: some MiB.
pub const UNMATCHED_TOLD_MAX: usize = 16 * CATALOGUES_MAX;
/// Requests for approval that wait at once, of one account and in all: what humans can look through.
pub const APPROVALS_PER_ACCOUNT_MAX: u64 = 5;
pub const APPROVALS_PENDING_MAX: u64 = 1_000;
/// Requests on one page of a list, unless less is asked for: even if every byte of their texts is
/// escaped, it stays under what a client reads.
pub const APPROVALS_LISTED_MAX: usize = 50;
const _: () = assert!(
    APPROVALS_LISTED_MAX * 6 * (HOLD_TEXT_BYTES_MAX + BIND_WINDOW_BYTES) < ADMIN_ANSWER_BYTES_MAX
);
/// What is over is listed for so long, and so many of it at most; recordings and audit events have it
/// for longer. An answer that still stands is never deleted.
pub const APPROVALS_KEPT_MS: u64 = 30 * 24 * 3_600_000;
pub const APPROVALS_KEPT_MAX: usize = 100_000;
const _: () = assert!(APPROVALS_KEPT_MS > HOLD_STANDS_MS_MAX);
/// How often old requests are looked for.
pub const APPROVALS_FORGET_EVERY_MS: u64 = 10 * 60_000;
/// Of the hash, from whoever approves by a token: nobody guesses so many.
pub const APPROVAL_HASH_DIGITS_MIN: usize = 8;
/// News of a request: how often a receiver that fails is tried again, the last over and over until
/// the request expires; each time a fifth sooner or later, lest all come at once.
pub const NEWS_RETRY_MS: [u64; 4] = [5_000, 30_000, 120_000, 300_000];
/// A receiver answers by then.
pub const NEWS_ANSWER_MS_MAX: u64 = 15_000;
/// What has been taken and was not heard of is due again: a process died with it.
pub const NEWS_AGAIN_MS: u64 = 60_000;
const _: () = assert!(NEWS_AGAIN_MS > 2 * (NEWS_ANSWER_MS_MAX + SECRET_EXEC_MS_MAX));
/// What is read of a receiver's answer, so that its connection can be used again.
pub const NEWS_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Messages under way to one receiver: one that hangs holds up so many of its own and none of others.
pub const NEWS_UNDER_WAY_MAX: usize = 8;
/// Messages that wait for one receiver; what is more is lost.
pub const NEWS_DUE_MAX: i64 = 5_000;
/// News of what is over may come this late.
pub const NEWS_LATE_MS: u64 = 15 * 60_000;
/// How long it is remembered whether anybody has heard of a request that is over.
pub const NEWS_KEPT_MS: u64 = 3_600_000;
/// Of a command in a chat: more is shown by its beginning, its end and its hash.
pub const CHAT_TEXT_BYTES_MAX: usize = 2_800;
/// Messages of sessions to whoever keeps requests.
pub const HOLD_MESSAGES_MAX: usize = 1_024;
/// Estimates that are asked for at once; a request beyond them goes without.
pub const ESTIMATES_AT_ONCE_MAX: usize = 4;
/// An estimate, connection included.
pub const ESTIMATE_MS_MAX: u64 = 10_000;
/// A statement of an estimate, as the target counts.
pub const ESTIMATE_STATEMENT_MS_MAX: u64 = 2_000;
/// How long an estimate waits for somebody's lock.
pub const ESTIMATE_LOCK_MS_MAX: u64 = 200;
/// How often requests that nobody decided are looked for.
pub const APPROVALS_TICK_MS: u64 = 1_000;
