# kcat, from the distribution: it does not stand in the tools folder.
inputs=("$here/apt.bash")
. "$here/apt.bash"

install_tool() {
  apt_install kcat kcat
}

check_tool() {
  kcat -V
}
