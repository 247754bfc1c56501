# Sourced by ./test. sslyze, beside which the TLS prober is compared (tests/e2e/test_control_tls.py), is not in Debian: from PyPI, into a folder of its own
# under target/. Without it, or without a network, that comparison is left out, and said to be.

# The version that was looked at.
SSLYZE=6.3.1

offer_sslyze() {
    local folder=${CARGO_TARGET_DIR:-$PWD/target}/sslyze-$SSLYZE
    case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
    if [ ! -e "$folder/whole" ]; then
        command -v sslyze > /dev/null && sslyze --help > /dev/null 2>&1 && return 0
        echo "Installing: sslyze $SSLYZE into $folder"
        rm -rf "$folder"
        mkdir -p "$folder"
        if ! { python3 -m venv "$folder" && timeout 300 "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input --retries 1 --timeout 15 \
            "sslyze==$SSLYZE" && "$folder/bin/sslyze" --help > /dev/null; } > "$folder.log" 2>&1; then
            rm -rf "$folder"
            echo "sslyze cannot be installed ($(tail -n 1 "$folder.log")): the TLS prober is not compared with it" >&2
            return 0
        fi
        touch "$folder/whole"
    fi
    export PATH="$folder/bin:$PATH"
}
