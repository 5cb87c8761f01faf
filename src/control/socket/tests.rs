use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_socket_is_for_its_owner_and_its_directory_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run").join("narrows").join("admin.sock");
    let socket = AdminSocket::bind(&path, Reach::Operator).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()) & 0o007, 0);
    UnixStream::connect(&path).unwrap();
    let names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "admin.sock" && name != "admin.sock.lock")
        .collect();
    assert_eq!(names, Vec::<String>::new());
    drop(socket);
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_left_over_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    // A process that was killed leaves its socket behind.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let socket = AdminSocket::bind(&path, Reach::Operator).unwrap();
    UnixStream::connect(&path).unwrap();
    let error = AdminSocket::bind(&path, Reach::Operator).unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    UnixStream::connect(&path).unwrap();
    drop(socket);
    AdminSocket::bind(&path, Reach::Operator).unwrap();
}

#[test]
fn another_process_socket_in_its_place_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let socket = AdminSocket::bind(&path, Reach::Operator).unwrap();
    std::fs::rename(&path, dir.path().join("moved")).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(socket);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = AdminSocket::bind(&path, Reach::Operator).unwrap_err();
    assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_name_that_is_too_long_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let error = AdminSocket::bind(&dir.path().join("x".repeat(120)), Reach::Operator).unwrap_err();
    assert!(matches!(error, SocketError::TooLong { .. }), "{error}");
}

#[test]
fn what_a_bind_cut_short_left_behind_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    std::fs::create_dir(dir.path().join("admin.sock.d")).unwrap();
    drop(UnixListener::bind(dir.path().join("admin.sock.d").join("s")).unwrap());
    AdminSocket::bind(&path, Reach::Operator).unwrap();
}
