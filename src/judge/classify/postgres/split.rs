//! Where one statement of a text ends and the next begins, and whether the grammar's reading of
//! the text says the same. Knows the words that statements begin with, and the one place where a
//! semicolon ends no statement without standing in parentheses.
//!
//! Two readers that were written apart and agree are less likely to be wrong together. Where they
//! do not agree, nothing is known of the text.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::lex::{Kind, Refusal, Token, Tokens};
use crate::model::command::Lexing;

/// One statement: from its first token to the semicolon behind it, or to the end of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The first word behind any opening parentheses.
    lead: Option<Token>,
    /// How many parentheses open it.
    parentheses: usize,
}

/// The statements of a text, without the empty ones.
pub(super) struct Pieces<'t> {
    text: &'t [u8],
    tokens: Tokens<'t>,
}

impl<'t> Pieces<'t> {
    pub(super) fn of(text: &'t [u8], lexing: Lexing) -> Result<Self, Refusal> {
        Ok(Self { text, tokens: Tokens::of(text, lexing)? })
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut piece: Option<Piece> = None;
        let mut routine = Routine::default();
        let mut open = 0_usize;
        for token in self.tokens.by_ref() {
            let token = match token {
                Ok(token) => token,
                Err(refusal) => return Some(Err(refusal)),
            };
            if token.is_mark(self.text, b';') && open == 0 && !routine.is_open() {
                match piece {
                    Some(piece) => return Some(Ok(Piece { end: token.start, ..piece })),
                    None => continue,
                }
            }
            let opens = token.is_mark(self.text, b'(');
            if opens {
                open += 1;
            } else if token.is_mark(self.text, b')') {
                open = open.saturating_sub(1);
            }
            routine.pass(token, self.text);
            let piece = piece.get_or_insert(Piece {
                start: token.start,
                end: self.text.len(),
                lead: None,
                parentheses: 0,
            });
            if piece.lead.is_none() {
                if opens {
                    piece.parentheses += 1;
                } else {
                    piece.lead = Some(token);
                }
            }
        }
        piece.map(Ok)
    }
}

/// `CREATE [OR REPLACE] FUNCTION ... BEGIN ATOMIC ...; ...; END`: follows the words of a statement
/// from its first one on, and tells whether it is between such a `BEGIN` and its `END`.
#[derive(Default)]
struct Routine {
    words: Words,
    /// The token before was the word `BEGIN`.
    after_begin: bool,
    /// The token before makes a word a name: a point, or `AS`.
    names_next: bool,
    /// Bodies and `CASE` expressions that wait for their `END`.
    open: usize,
}

/// How far a statement is in saying that it creates a routine.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Words {
    #[default]
    None,
    Create,
    CreateOr,
    CreateOrReplace,
    CreateRoutine,
    Other,
}

impl Routine {
    const fn is_open(&self) -> bool {
        self.open > 0
    }

    fn pass(&mut self, token: Token, text: &[u8]) {
        let is = |word: &str| token.is_word(text, word.as_bytes());
        if self.words != Words::CreateRoutine {
            if self.words != Words::Other {
                self.words = match self.words {
                    Words::None if is("create") => Words::Create,
                    Words::Create if is("or") => Words::CreateOr,
                    Words::CreateOr if is("replace") => Words::CreateOrReplace,
                    Words::Create | Words::CreateOrReplace if is("function") || is("procedure") => {
                        Words::CreateRoutine
                    }
                    Words::None
                    | Words::Create
                    | Words::CreateOr
                    | Words::CreateOrReplace
                    | Words::CreateRoutine
                    | Words::Other => Words::Other,
                };
            }
            return;
        }
        let begun = std::mem::replace(&mut self.after_begin, is("begin"));
        let named = std::mem::replace(&mut self.names_next, token.is_mark(text, b'.') || is("as"));
        if begun && self.open == 0 && is("atomic") {
            self.open = 1;
        } else if self.open > 0 && !named {
            if is("case") {
                self.open += 1;
            } else if is("end") {
                self.open -= 1;
            }
        }
    }
}

/// True if `text` holds the statements that the grammar found in it: as many, in the same places,
/// each beginning with a word that its kind can begin with.
pub(super) fn agrees(text: &[u8], lexing: Lexing, parsed: &[pg::RawStmt]) -> bool {
    let Ok(mut pieces) = Pieces::of(text, lexing) else { return false };
    let mut searched = 0;
    for statement in parsed {
        let Some(Ok(piece)) = pieces.next() else { return false };
        let Some((start, end)) = place(statement, text.len()) else { return false };
        // The grammar may count the blanks before a statement to it.
        if !(searched..=piece.start).contains(&start) || end != piece.end {
            return false;
        }
        if !begins_alike(statement, &piece, text) {
            return false;
        }
        searched = piece.end;
    }
    pieces.next().is_none()
}

/// Where the grammar says that a statement stands. A length of zero reaches to the text's end.
fn place(statement: &pg::RawStmt, text_bytes: usize) -> Option<(usize, usize)> {
    let start = usize::try_from(statement.stmt_location).ok()?;
    let length = usize::try_from(statement.stmt_len).ok()?;
    Some((start, if length == 0 { text_bytes } else { start.checked_add(length)? }))
}

fn begins_alike(statement: &pg::RawStmt, piece: &Piece, text: &[u8]) -> bool {
    let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
    let Some(lead) = piece.lead.filter(|lead| lead.kind == Kind::Word) else { return false };
    if piece.parentheses > 0 && !matches!(node, Some(NodeEnum::SelectStmt(_))) {
        return false;
    }
    let words = leads(node);
    words.iter().any(|word| lead.is_word(text, word.as_bytes()))
}

/// By what words statements of which kinds begin. A kind that no row knows begins with none.
macro_rules! leads {
    ($($($word:literal)+ => $($kind:ident)+;)+) => {
        fn leads(node: Option<&NodeEnum>) -> &'static [&'static str] {
            match node {
                $($(Some(NodeEnum::$kind(_)))|+ => &[$($word),+],)+
                Some(_) | None => &[],
            }
        }
    };
}

leads! {
    "select" "with" "values" "table" => SelectStmt;
    "insert" "with" => InsertStmt;
    "update" "with" => UpdateStmt;
    "delete" "with" => DeleteStmt;
    "merge" "with" => MergeStmt;
    "begin" "start" "commit" "end" "rollback" "abort" "savepoint" "release" "prepare"
        => TransactionStmt;
    "set" "reset" => VariableSetStmt;
    "show" => VariableShowStmt;
    "explain" => ExplainStmt;
    "copy" => CopyStmt;
    "truncate" => TruncateStmt;
    "prepare" => PrepareStmt;
    "execute" => ExecuteStmt;
    "deallocate" => DeallocateStmt;
    "declare" => DeclareCursorStmt;
    "fetch" "move" => FetchStmt;
    "close" => ClosePortalStmt;
    "discard" => DiscardStmt;
    "set" => ConstraintsSetStmt;
    "lock" => LockStmt;
    "do" => DoStmt;
    "call" => CallStmt;
    "vacuum" "analyze" "analyse" => VacuumStmt;
    "cluster" => ClusterStmt;
    "reindex" => ReindexStmt;
    "checkpoint" => CheckPointStmt;
    "load" => LoadStmt;
    "notify" => NotifyStmt;
    "listen" => ListenStmt;
    "unlisten" => UnlistenStmt;
    "comment" => CommentStmt;
    "security" => SecLabelStmt;
    "refresh" => RefreshMatViewStmt;
    "import" => ImportForeignSchemaStmt;
    "reassign" => ReassignOwnedStmt;
    "grant" "revoke" => GrantStmt GrantRoleStmt;
    "drop" => DropStmt DropdbStmt DropRoleStmt DropOwnedStmt DropTableSpaceStmt
        DropSubscriptionStmt DropUserMappingStmt;
    "create" => CreateStmt CreateTableAsStmt ViewStmt IndexStmt CreateSeqStmt CreateSchemaStmt
        CreateFunctionStmt CreateTrigStmt CreateEventTrigStmt RuleStmt DefineStmt
        CompositeTypeStmt CreateEnumStmt CreateRangeStmt CreateDomainStmt CreateCastStmt
        CreateConversionStmt CreateTransformStmt CreateOpClassStmt CreateOpFamilyStmt
        CreateStatsStmt CreatePolicyStmt CreateRoleStmt CreatedbStmt CreateTableSpaceStmt
        CreateExtensionStmt CreateFdwStmt CreateForeignServerStmt CreateForeignTableStmt
        CreateUserMappingStmt CreateAmStmt CreatePlangStmt CreatePublicationStmt
        CreateSubscriptionStmt;
    "alter" => AlterTableStmt AlterTableMoveAllStmt AlterTableSpaceOptionsStmt RenameStmt
        AlterObjectSchemaStmt AlterObjectDependsStmt AlterOwnerStmt AlterSeqStmt AlterDomainStmt
        AlterEnumStmt AlterTypeStmt AlterFunctionStmt AlterOperatorStmt AlterOpFamilyStmt
        AlterCollationStmt AlterPolicyStmt AlterStatsStmt AlterEventTrigStmt AlterRoleStmt
        AlterRoleSetStmt AlterDefaultPrivilegesStmt AlterDatabaseStmt AlterDatabaseSetStmt
        AlterDatabaseRefreshCollStmt AlterSystemStmt AlterExtensionStmt
        AlterExtensionContentsStmt AlterFdwStmt AlterForeignServerStmt AlterUserMappingStmt
        AlterPublicationStmt AlterSubscriptionStmt AlterTsdictionaryStmt
        AlterTsconfigurationStmt;
}

#[cfg(test)]
mod tests;
