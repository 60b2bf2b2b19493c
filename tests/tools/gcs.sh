# A stand-in for Google Cloud Storage, in front of the tool `minio`.
source=$here/gcs
inputs=("$source"/go.mod "$source"/go.sum "$source"/*.go)

install_tool() {
  need go "the stand-in for Google Cloud Storage is a Go module"
  go build -C "$source" -o "$dir/gcs" .
}

check_tool() {
  [[ -x $dir/gcs ]]
}
