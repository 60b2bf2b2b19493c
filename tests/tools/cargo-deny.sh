# Checks the licences, bans and sources of deny.toml.
version=0.20.2

install_tool() {
  # Quick to build rather than quick: it runs for seconds.
  export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
  # A target directory of its own: the workspace's lock would hold up its builds.
  cargo install cargo-deny --version "$version" --locked --root "$dir" --target-dir "$dir/target"
  rm -rf "$dir/target"
}

check_tool() {
  "$dir/bin/cargo-deny" --version
}
