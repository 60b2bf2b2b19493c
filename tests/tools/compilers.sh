# What librdkafka, below the rdkafka crate, is built with: make, and a C++ compiler that it insists on.
inputs=("$here/apt.bash")
. "$here/apt.bash"

install_tool() {
  apt_install make make
  apt_install c++ g++
}

check_tool() {
  make --version
  c++ --version
}
