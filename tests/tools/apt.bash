# Sourced by the installers of what comes with the distribution.

# apt_install COMMAND PACKAGE...: installs the packages unless the command is there. With ODRADEK_CLEAN=1 they are
# installed anew all the same, so that this step is seen to work.
apt_install() {
  local command=$1
  shift
  if [[ -z ${ODRADEK_CLEAN:-} ]] && command -v "$command"; then
    return
  fi
  local as_root=()
  if ((EUID != 0)); then
    need sudo "installing $* wants root; install it by hand: apt-get install $*"
    as_root=(sudo -n)
  fi
  need apt-get "install $* with this system's package manager"
  local get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends)
  # The package lists of a new machine are empty.
  "${get[@]}" update
  "${get[@]}" install --reinstall "$@"
}
