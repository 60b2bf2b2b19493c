//! What is measured, and with what: the comparison of Odradek with Apache Kafka on one machine.

pub mod compare;
