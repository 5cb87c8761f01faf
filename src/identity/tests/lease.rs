use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::identity::lease::{LeaseError, Lessor};
use crate::identity::vault::{Vault, VaultError};
use crate::limits::SECRET_BYTES_MAX;
use crate::model::secret::Secret;
use crate::model::target::SecretSource;

/// The secret in the clear: tests own it.
fn fetch(folder: &Path, source: &SecretSource) -> Result<Vec<u8>, LeaseError> {
    let lessor = Lessor::new(Vault::in_state_dir(folder));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lessor.fetch(source)).map(|secret| secret.with(Clone::clone))
}

fn file(folder: &Path, contents: &[u8], mode: u32) -> SecretSource {
    let path = folder.join("secret");
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    SecretSource::File(path)
}

fn shell(script: &str) -> SecretSource {
    SecretSource::Exec(["/bin/sh", "-c", script].map(String::from).to_vec())
}

#[test]
fn a_file_gives_its_bytes_without_one_newline() {
    let folder = tempfile::tempdir().unwrap();
    let table: [(&[u8], &[u8]); 5] = [
        (b"hunter2", b"hunter2"),
        (b"hunter2\n", b"hunter2"),
        (b"hunter2\r\n", b"hunter2"),
        (b"hunter2\n\n", b"hunter2\n"),
        (b" h\x00\xff ", b" h\x00\xff "),
    ];
    for (contents, secret) in table {
        let source = file(folder.path(), contents, 0o600);
        assert_eq!(fetch(folder.path(), &source).unwrap(), secret);
    }
}

#[test]
fn a_file_that_everybody_may_read_or_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o602, 0o601] {
        let refused = fetch(folder.path(), &file(folder.path(), b"hunter2", mode)).unwrap_err();
        assert!(matches!(refused, LeaseError::FileExposed { .. }), "{mode:o}");
        assert!(refused.to_string().contains("chmod o-rwx"));
    }
    for mode in [0o400, 0o600, 0o440, 0o660] {
        assert!(fetch(folder.path(), &file(folder.path(), b"hunter2", mode)).is_ok(), "{mode:o}");
    }
}

#[test]
fn what_is_no_file_of_fitting_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let of = |source: SecretSource| fetch(folder.path(), &source).unwrap_err();
    let absent = SecretSource::File(folder.path().join("absent"));
    assert!(matches!(of(absent), LeaseError::File { .. }));
    let folder_itself = SecretSource::File(folder.path().to_owned());
    assert!(matches!(of(folder_itself), LeaseError::NotAFile { .. }));
    let zero = SecretSource::File("/dev/zero".into());
    assert!(matches!(of(zero), LeaseError::NotAFile { .. }));
    assert!(matches!(of(file(folder.path(), b"", 0o600)), LeaseError::Empty));
    assert!(matches!(of(file(folder.path(), b"\n", 0o600)), LeaseError::Empty));
    let large = vec![b'x'; SECRET_BYTES_MAX + 1];
    assert!(matches!(of(file(folder.path(), &large, 0o600)), LeaseError::TooLarge));
    let full = file(folder.path(), &large[1..], 0o600);
    assert_eq!(fetch(folder.path(), &full).unwrap().len(), SECRET_BYTES_MAX);
}

#[test]
fn a_variable_of_the_environment_is_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let home = fetch(folder.path(), &SecretSource::Env("PATH".into())).unwrap();
    assert_eq!(home, std::env::var("PATH").unwrap().into_bytes());
    let absent = SecretSource::Env("NARROWS_SURELY_NOT_SET".into());
    let refused = fetch(folder.path(), &absent).unwrap_err();
    assert!(matches!(refused, LeaseError::EnvAbsent { .. }));
}

#[test]
fn a_command_gives_its_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(fetch(folder.path(), &shell("echo hunter2")).unwrap(), b"hunter2");
    let words = ["/bin/echo", "$HOME;", "`id`"].map(String::from).to_vec();
    let unexpanded = fetch(folder.path(), &SecretSource::Exec(words)).unwrap();
    assert_eq!(unexpanded, b"$HOME; `id`", "there is no shell");
}

#[test]
fn a_command_that_fails_gives_no_secret_and_leaks_none() {
    let folder = tempfile::tempdir().unwrap();
    let of = |source: SecretSource| fetch(folder.path(), &source).unwrap_err();
    let failed = of(shell("echo CANARY; echo CANARY >&2; exit 3"));
    assert!(matches!(failed, LeaseError::ExecFailed { .. }));
    assert!(!format!("{failed} {failed:?}").contains("CANARY"));
    assert!(matches!(of(shell("true")), LeaseError::Empty));
    let endless = of(shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"));
    assert!(matches!(endless, LeaseError::TooLarge));
    let absent = SecretSource::Exec(vec!["/nonexistent/program".into()]);
    assert!(matches!(of(absent), LeaseError::ExecStart { .. }));
    assert!(matches!(of(SecretSource::Exec(Vec::new())), LeaseError::ExecEmpty));
}

#[test]
fn a_command_that_hangs_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut lessor = Lessor::new(Vault::in_state_dir(folder.path()));
    lessor.exec_max = Duration::from_millis(50);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let words = ["/bin/sleep", "3600"].map(String::from).to_vec();
    let refused = runtime.block_on(lessor.fetch(&SecretSource::Exec(words))).err().unwrap();
    assert!(matches!(refused, LeaseError::ExecTimedOut { .. }));
}

#[test]
fn the_vault_leases_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    vault.set("db/app", &Secret::new(b"hunter2".to_vec())).unwrap();
    let named = |name: &str| fetch(folder.path(), &SecretSource::Vault(name.into()));
    assert_eq!(named("db/app").unwrap(), b"hunter2");
    let refused = named("db/other").unwrap_err();
    assert!(matches!(refused, LeaseError::Vault(VaultError::NoSecret { .. })));
}
