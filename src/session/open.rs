//! From the first byte to the open session: token, admission, connection, the target's login.

use std::sync::Arc;

use crate::limits;
use crate::mask::catalogue::Cell;
use crate::model::event::What;
use crate::model::session::{CloseReason, Leg};
use crate::model::target::Connection;
use crate::record::SessionStart;
use crate::session::close::End;
use crate::session::exchange::Exchanges;
use crate::session::hold::Settings;
use crate::session::masking::Masking;
use crate::session::{Admission, Context, Open, Opening, Output, Phase, Session};
use crate::wire::{Farewell, Login, Refusal, RefusalKind, TlsFacts, UpstreamLogin};

impl Session {
    pub(super) fn on_tls(
        &mut self,
        leg: Leg,
        facts: TlsFacts,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        self.machine.tls_started(leg, &facts, &mut self.said)?;
        match leg {
            Leg::Downstream => self.downstream_tls = facts.parameters,
            Leg::Upstream => self.upstream_tls = facts.parameters,
        }
        self.speak(cx)
    }

    /// The bot has shown its credentials: somebody outside must verify them.
    pub(super) fn on_login(&mut self, login: Box<Login>, cx: &mut Context<'_>) {
        let database = if login.database.is_empty() { &login.user } else { &login.database };
        self.phase = Phase::AwaitAdmission {
            user: login.user.clone(),
            database: Arc::from(database.as_str()),
        };
        self.deadline_ns = Some(cx.now.after_ms(limits::DIAL_MS_MAX));
        cx.outputs.push_back(Output::Verify(login));
    }

    pub(super) fn on_admitted(
        &mut self,
        admission: Admission,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let phase = self.phase.take();
        let Phase::AwaitAdmission { user, database } = phase else {
            self.phase = phase;
            return Err(End::of(CloseReason::Defect));
        };
        if !admission.connection.opens(&database) {
            self.phase = Phase::AwaitAdmission { user: user.clone(), database };
            let reason = "the connection does not open this database".to_owned();
            self.emit(What::LoginRefused { user, reason }, cx);
            return Err(End::with(CloseReason::LoginRefused, Farewell::DatabaseNotAllowed));
        }
        cx.outputs.push_back(Output::Connect {
            target: admission.target.clone(),
            connection: admission.connection.clone(),
        });
        self.phase = Phase::AwaitTarget(Box::new(Opening { admission, database, catalogue: None }));
        Ok(())
    }

    pub(super) fn on_turned_away(
        &mut self,
        reason: String,
        close: CloseReason,
        cx: &mut Context<'_>,
    ) -> End {
        if let Phase::AwaitAdmission { user, .. } = &self.phase {
            let user = user.clone();
            self.emit(What::LoginRefused { user, reason }, cx);
        }
        End::of(close)
    }

    pub(super) fn on_connected(
        &mut self,
        login: UpstreamLogin,
        catalogue: Option<Arc<Cell>>,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        self.phase = match self.phase.take() {
            Phase::AwaitTarget(opening) => {
                Phase::AwaitTargetLogin(Box::new(Opening { catalogue, ..*opening }))
            }
            Phase::Errand => Phase::Errand,
            phase @ (Phase::AwaitToken
            | Phase::AwaitAdmission { .. }
            | Phase::AwaitTargetLogin(_)
            | Phase::Open(_)
            | Phase::Closed { .. }) => {
                self.phase = phase;
                return Err(End::of(CloseReason::Defect));
            }
        };
        self.machine.begin_upstream(login, &mut self.said);
        self.speak(cx)
    }

    pub(super) fn on_connect_failed(&self, reason: &str) -> End {
        tracing::warn!(session = %self.id, reason, "the target could not be reached");
        End::of(CloseReason::TargetUnreachable)
    }

    /// The target has accepted the login: the recording begins before anything else is said.
    pub(super) fn on_opened(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let phase = self.phase.take();
        let Phase::AwaitTargetLogin(opening) = phase else {
            self.phase = phase;
            return Err(End::of(CloseReason::Defect));
        };
        let Opening { admission, database, catalogue } = *opening;
        let tap = match cx.recorder.open(cx.now, &self.session_start(&admission, &database)) {
            Ok(tap) => tap,
            Err(failure) => {
                let opening = Opening { admission, database, catalogue };
                self.phase = Phase::AwaitTargetLogin(Box::new(opening));
                return Err(failure.into());
            }
        };
        self.deadline_ns = None;
        if let Some(rows) = admission.connection.rows_max {
            let gives = format!("{rows} rows");
            self.machine.limit_rows(rows, &too_much("rows", &gives, &admission.connection));
        }
        if let Some(bytes) = admission.connection.bytes_max {
            let gives = format!("{bytes} bytes");
            self.machine.limit_bytes(bytes, &too_much("bytes", &gives, &admission.connection));
        }
        if let Some(cells) = admission.connection.masked_max {
            let gives = format!("{cells} masked cells");
            self.machine.limit_masked(cells, &too_much("masked", &gives, &admission.connection));
        }
        let masking = admission.policy.masks().map(|masks| {
            self.machine.show_answers();
            let keys = admission.mask_keys.clone();
            Box::new(Masking::new(masks.clone(), keys, catalogue))
        });
        self.phase = Phase::Open(Box::new(Open {
            admission,
            database,
            tap,
            exchanges: Exchanges::default(),
            held: None,
            settings: Settings::default(),
            masking,
            hits: Vec::new(),
        }));
        self.emit(What::SessionStarted, cx);
        Ok(())
    }

    fn session_start(&self, admission: &Admission, database: &str) -> SessionStart {
        let principal = &admission.principal;
        SessionStart {
            session: self.id,
            account: principal.account.to_string(),
            target: admission.target.name.to_string(),
            protocol: admission.target.protocol,
            database: database.to_owned(),
            client: self.peer,
            issuer: principal.issuer.to_string(),
            subject: principal.subject.to_string(),
            token_id: principal.token_id.as_ref().map(ToString::to_string),
            token_expires_unix_s: principal.expires_unix_s,
            claims: (*principal.claims).clone(),
            upstream_user: admission.connection.credential.username.to_string(),
            policies: admission.connection.policies.iter().map(ToString::to_string).collect(),
            policy_version: admission.config_version.to_string(),
            downstream_tls: self.downstream_tls.clone(),
            upstream_tls: self.upstream_tls.clone(),
        }
    }
}

/// What takes the place of the rows that are past a limit of the connection.
fn too_much(key: &str, gives: &str, connection: &Connection) -> Refusal {
    let hint = format!(
        "Ask for less, or have limits.{key} of {} raised. What the statement changed may stand.",
        connection.name()
    );
    Refusal {
        kind: RefusalKind::TooLarge,
        message: format!("the result has more than {gives}; the rest is withheld").into(),
        hint: Some(hint.into()),
    }
}
