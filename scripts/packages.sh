# Sourced by ./run and ./test: installs the Debian or Ubuntu packages given, or says which are missing.
#
# need_packages PACKAGE:COMMAND-OR-FILE ...   each package with what proves that it is there

need_packages() {
    local missing=() item package proof
    for item in "$@"; do
        package=${item%%:*}
        proof=${item#*:}
        case $proof in
            /*) compgen -G "$proof" > /dev/null || missing+=("$package") ;;
            *) command -v "$proof" > /dev/null || missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "Installing: ${missing[*]}"
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
    else
        echo "These packages are missing: ${missing[*]}" >&2
        echo "Install them, then try again:  sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
}

need_rust() {
    if ! command -v cargo > /dev/null; then
        [ -x "$HOME/.cargo/bin/cargo" ] && export PATH="$HOME/.cargo/bin:$PATH"
    fi
    if ! command -v cargo > /dev/null; then
        echo "Rust is missing: install it from https://rustup.rs, then try again." >&2
        exit 1
    fi
}

BUILD_PACKAGES=(gcc:gcc libc6-dev:/usr/include/stdio.h pkg-config:pkg-config
    "libssl-dev:/usr/include/openssl/ssl.h")
