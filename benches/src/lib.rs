//! What is measured, and with what: a load driver over any Kafka address, and the comparison of Odradek
//! with Apache Kafka on one machine.

pub mod compare;
pub mod load;
