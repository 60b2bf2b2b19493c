# The test client on franz-go.
source=$root/tests/clients/franz-go
inputs=("$source"/go.mod "$source"/go.sum "$source"/*.go)

install_tool() {
  need go "franz-go is a Go module"
  go build -C "$source" -o "$dir/franzclient" .
}

check_tool() {
  [[ -x $dir/franzclient ]]
}
