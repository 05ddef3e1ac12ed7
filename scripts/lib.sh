# Shared by the scripts: installs what is missing, and says so.

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The script's own first comment.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "scripts/$(basename "$0")"; }

# help_or_go ARGUMENTS: asked for help, the script says what it is, and ends.
help_or_go() { case ${1:-} in -h | --help | help) usage; exit ;; esac; }

# need COMMAND PACKAGE: a Debian package, installed if its command is missing.
need() {
    command -v "$1" >/dev/null 2>&1 || install_package "$2" "$1"
}

# install_package PACKAGE WHAT_FOR
install_package() {
    say "installing $1 (for $2)"
    local as_root=""
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    command -v apt-get >/dev/null 2>&1 || die "$2 is missing and this machine has no apt-get: install $1"
    $as_root apt-get install -y -q "$1" >/dev/null 2>&1 || {
        $as_root apt-get update -q >/dev/null 2>&1
        $as_root apt-get install -y -q "$1" >/dev/null || die "could not install $1"
    }
}

need_rust() {
    command -v cargo >/dev/null 2>&1 || die "cargo is missing: install Rust (rustup), then run this again"
    need cc build-essential
}
