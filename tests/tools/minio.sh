# The object store of the tests. Upstream publishes no more binaries: it is built from the Go module.
version=v0.0.0-20260212201848-7aac2a2c5b7c

install_tool() {
  need go "MinIO is built from its Go module"
  GOBIN=$dir/bin go install "github.com/minio/minio@$version"
}

check_tool() {
  "$dir/bin/minio" --version
}
