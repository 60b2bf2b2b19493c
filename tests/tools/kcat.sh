# kcat, from the distribution: the one tool that does not stand in the tools folder.
# With ODRADEK_CLEAN=1 it is installed anew even if it is there, so that this step is seen to work.

install_tool() {
  if [[ -z ${ODRADEK_CLEAN:-} ]] && command -v kcat; then
    return
  fi
  local as_root=()
  if ((EUID != 0)); then
    need sudo "kcat is a package of the distribution and wants root: install it with apt-get install kcat"
    as_root=(sudo -n)
  fi
  need apt-get "install kcat with this system's package manager"
  local get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends)
  # The package lists of a new machine are empty.
  "${get[@]}" update
  "${get[@]}" install --reinstall kcat
}

check_tool() {
  kcat -V
}
