use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::identity::vault::{Stored, Vault, VaultError};
use crate::limits::SECRET_BYTES_MAX;
use crate::model::secret::Secret;

fn secret(bytes: &[u8]) -> Secret<Vec<u8>> {
    Secret::new(bytes.to_vec())
}

fn plain(vault: &Vault, name: &str) -> Vec<u8> {
    vault.fetch(name).map(|secret| secret.with(Clone::clone)).unwrap()
}

/// The error of something whose value cannot be shown.
fn refusal<T>(result: Result<T, VaultError>) -> VaultError {
    result.err().expect("it was not refused")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_put_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    assert_eq!(vault.names().unwrap(), Vec::<String>::new());
    let binary: Vec<u8> = (0..=255).collect();
    assert_eq!(vault.set("b/two", &secret(&binary)).unwrap(), Stored::New);
    assert_eq!(vault.set("a", &secret(b"one")).unwrap(), Stored::New);
    assert_eq!(vault.set("a", &secret(b"other")).unwrap(), Stored::Replaced);
    assert_eq!(vault.names().unwrap(), ["a", "b/two"]);
    assert_eq!(plain(&vault, "a"), b"other");
    assert_eq!(plain(&vault, "b/two"), binary);
    vault.remove("a").unwrap();
    assert_eq!(vault.names().unwrap(), ["b/two"]);
    assert!(matches!(refusal(vault.fetch("a")), VaultError::NoSecret { .. }));
    assert!(matches!(refusal(vault.remove("a")), VaultError::NoSecret { .. }));
}

#[test]
fn files_are_for_their_owner_and_hold_no_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(&folder.path().join("state"));
    vault.set("name-of-it", &secret(b"CANARY-secret")).unwrap();
    let state = folder.path().join("state");
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("vault.age")), 0o600);
    assert_eq!(mode(&state.join("vault.key")), 0o400);
    let sealed = fs::read(state.join("vault.age")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    for text in ["CANARY", "name-of-it", "Q0FOQVJZ"] {
        assert!(!sealed.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "a vault, a key and a lock, no temporary file: {left:?}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    vault.set("a", &secret(b"one")).unwrap();
    let key = folder.path().join("vault.key");
    for exposed in [0o440, 0o404, 0o644, 0o620] {
        fs::set_permissions(&key, Permissions::from_mode(exposed)).unwrap();
        let refused = refusal(vault.fetch("a"));
        assert!(matches!(refused, VaultError::KeyExposed { .. }), "{exposed:o}");
        assert!(refused.to_string().contains("chmod 0400"));
        assert!(matches!(refusal(vault.set("b", &secret(b"x"))), VaultError::KeyExposed { .. }));
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(plain(&vault, "a"), b"one");
}

#[test]
fn a_vault_without_its_key_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    vault.set("a", &secret(b"one")).unwrap();
    let before = fs::read(folder.path().join("vault.age")).unwrap();
    fs::remove_file(folder.path().join("vault.key")).unwrap();
    assert!(matches!(refusal(vault.set("b", &secret(b"x"))), VaultError::KeyAbsent { .. }));
    assert!(!folder.path().join("vault.key").exists());
    assert_eq!(fs::read(folder.path().join("vault.age")).unwrap(), before);
}

#[test]
fn damage_and_strange_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    vault.set("a", &secret(b"one")).unwrap();
    let file = folder.path().join("vault.age");
    let whole = fs::read(&file).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(matches!(refusal(vault.fetch("a")), VaultError::Decrypt { .. }), "byte {at}");
    }
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(refusal(vault.names()), VaultError::Decrypt { .. }));
    fs::write(&file, &whole).unwrap();

    let other = tempfile::tempdir().unwrap();
    Vault::in_state_dir(other.path()).set("x", &secret(b"y")).unwrap();
    let strange = Vault::new(file.clone(), other.path().join("vault.key"));
    assert!(matches!(refusal(strange.fetch("a")), VaultError::Decrypt { .. }));
    let no_key = other.path().join("no.key");
    fs::write(&no_key, "# only a comment\n").unwrap();
    fs::set_permissions(&no_key, Permissions::from_mode(0o400)).unwrap();
    let unreadable = Vault::new(file, no_key);
    assert!(matches!(refusal(unreadable.fetch("a")), VaultError::KeyUnreadable { .. }));
}

#[test]
fn secrets_have_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    assert!(matches!(refusal(vault.set("a", &secret(b""))), VaultError::SecretEmpty));
    let large = vec![7; SECRET_BYTES_MAX + 1];
    assert!(matches!(refusal(vault.set("a", &secret(&large))), VaultError::SecretTooLarge));
    vault.set("a", &secret(&large[1..])).unwrap();
    assert_eq!(plain(&vault, "a").len(), SECRET_BYTES_MAX);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::in_state_dir(folder.path());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let vault = &vault;
            scope.spawn(move || vault.set(&format!("s{number}"), &secret(b"x")).unwrap());
        }
    });
    assert_eq!(vault.names().unwrap().len(), 8);
}
