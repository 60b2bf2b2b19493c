# The test client on Kafka's Java client, compiled against the jars of the tool `kafka`.
source=$root/tests/clients/java
inputs=("$here/kafka-pom.xml" "$source"/*.java)

install_tool() {
  need javac "the Java test client is compiled"
  [[ -d $tools/kafka/libs ]] || die "java-client is compiled against the tool kafka: install that first"
  javac -Xlint:all,-serial -Werror -d "$dir/classes" -cp "$tools/kafka/libs/*" "$source"/*.java
}

check_tool() {
  [[ -f $dir/classes/Client.class ]]
}
