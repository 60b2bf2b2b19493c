# confluent-kafka, and the checker of the compose file, in a virtual environment.
inputs=("$root/tests/clients/python/requirements.txt")

install_tool() {
  need python3 "confluent-kafka is a Python package"
  python3 -m venv "$dir"
  "$dir/bin/pip" install --no-deps -r "${inputs[0]}"
}

check_tool() {
  "$dir/bin/python" -c 'import confluent_kafka; print(confluent_kafka.version(), confluent_kafka.libversion())'
  "$dir/bin/check-jsonschema" --version
}
