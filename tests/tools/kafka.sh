# Apache Kafka's jars: the Java client, the tools by their main class, and the server as a peer.
inputs=("$here/kafka-pom.xml")

install_tool() {
  need mvn "Kafka's jars come by Maven"
  mvn -B -q -C -f "$here/kafka-pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/libs"
}

check_tool() {
  need java "Kafka's tools run on a Java machine"
  java -cp "$dir/libs/*" org.apache.kafka.tools.TopicCommand --version
}
