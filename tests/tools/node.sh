# KafkaJS and the codecs it takes as plug-ins.
inputs=("$root/tests/clients/kafkajs/package.json" "$root/tests/clients/kafkajs/package-lock.json")

install_tool() {
  need npm "KafkaJS is a package of Node.js"
  cp "${inputs[@]}" "$dir"
  npm ci --prefix "$dir" --no-audit --no-fund
}

check_tool() {
  NODE_PATH=$dir/node_modules node -e 'require("kafkajs"); require("lz4-napi"); require("kafkajs-snappy")'
}
