# Checks the licences, bans and sources of deny.toml.
version=0.20.2

install_tool() {
  # A target directory of its own: the workspace's lock would hold up its builds.
  cargo install cargo-deny --version "$version" --locked --root "$dir" --target-dir "$dir/target"
  rm -rf "$dir/target"
}

check_tool() {
  "$dir/bin/cargo-deny" --version
}
