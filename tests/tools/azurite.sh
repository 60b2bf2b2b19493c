# Azurite, Microsoft's emulator of Azure's blob service, and the SDK by which its containers are made.
# Later versions of the two want a newer Node.js than 20.
source=$here/azurite
inputs=("$source/package.json" "$source/package-lock.json")

install_tool() {
  need npm "Azurite is a package of Node.js"
  cp "${inputs[@]}" "$dir"
  npm ci --prefix "$dir" --no-audit --no-fund
}

check_tool() {
  "$dir/node_modules/.bin/azurite-blob" --version
  NODE_PATH=$dir/node_modules node -e 'require("@azure/storage-blob")'
}
