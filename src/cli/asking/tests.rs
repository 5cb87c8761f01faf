use super::*;

#[test]
fn the_socket_is_read_from_a_configuration_that_is_otherwise_wrong() {
    let text = "frobnicate = 1\n[node]\nadmin = { socket = \"run/a.sock\", nonsense = 2 }\n";
    let socket = configured_socket(text, Path::new("/etc/narrows/narrows.toml"));
    assert_eq!(socket, Some(PathBuf::from("/etc/narrows/run/a.sock")));
    let text = "[node.admin]\nsocket = \"/run/b.sock\"\n";
    let socket = configured_socket(text, Path::new("narrows.toml"));
    assert_eq!(socket, Some(PathBuf::from("/run/b.sock")));
}

#[test]
fn the_socket_lies_in_the_state_dir_if_nothing_else_is_said() {
    for text in [
        "[node]\nstate_dir = \"state\"\n",
        "node = { state_dir = \"state\", admin = { bind = \"x\" } }",
    ] {
        let socket = configured_socket(text, Path::new("/etc/narrows/narrows.toml"));
        assert_eq!(socket, Some(PathBuf::from("/etc/narrows/state/admin.sock")), "{text}");
    }
}

#[test]
fn a_configuration_without_a_socket_leaves_it_to_the_default() {
    for text in ["", "[node]\nname = \"x\"\n", "[node]\nadmin = 3\n", "no toml at all ["] {
        assert_eq!(configured_socket(text, Path::new("/x/y")), None, "{text}");
    }
}
