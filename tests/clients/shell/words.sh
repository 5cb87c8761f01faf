# What the programs here say, and when they stop. Sourced by them.

ok() { echo "ok $*"; }
fail() {
    echo "failed: $*" >&2
    exit 1
}
# is WHAT EXPECTED: the two texts are one.
is() { [ "$1" = "$2" ] || fail "due was '$2', came '$1'"; }
has() { case $1 in *"$2"*) ;; *) fail "no '$2' in '$1'" ;; esac }
