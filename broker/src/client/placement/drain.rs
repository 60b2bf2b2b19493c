//! `odradek cluster drain`.

use std::io::Write;

use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::limits::CLIENT_MOVE_WAIT_MS;

use crate::cli::DrainArgs;
use crate::client::ClientError;
use crate::client::cluster::{Cluster, Patience};

/// The type of resource that is a broker (KIP-133).
const BROKER_RESOURCE: i8 = 4;
const SETTING: &str = "broker.draining";
/// Operations of KIP-339.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(args: &DrainArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let mut cluster = Cluster::at(&args.at.bootstrap);
    let what = format!("drain broker {}", args.broker);
    let answer = cluster.any(&request(args)).await?;
    for result in &answer.responses {
        ClientError::check(&what, result.error_code, result.error_message.as_ref())?;
    }
    if args.undo {
        writeln!(out, "broker {} may get partitions again", args.broker)?;
        return Ok(());
    }
    let mut patience = Patience::of_ms(CLIENT_MOVE_WAIT_MS);
    loop {
        let count = led_by(&mut cluster, args.broker).await?;
        if count == 0 {
            writeln!(out, "broker {} leads no partition", args.broker)?;
            return Ok(());
        }
        patience.bear(ClientError::NotMoved { what: what.clone(), count }).await?;
    }
}

fn request(args: &DrainArgs) -> IncrementalAlterConfigsRequest {
    let setting = AlterableConfig::default().with_name(StrBytes::from_static_str(SETTING));
    let setting = match args.undo {
        false => {
            setting.with_config_operation(SET).with_value(Some(StrBytes::from_static_str("true")))
        }
        true => setting.with_config_operation(DELETE).with_value(None),
    };
    let broker = AlterConfigsResource::default()
        .with_resource_type(BROKER_RESOURCE)
        .with_resource_name(StrBytes::from_string(args.broker.to_string()))
        .with_configs(vec![setting]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![broker])
}

async fn led_by(cluster: &mut Cluster, broker: i32) -> Result<usize, ClientError> {
    let topics = cluster.metadata(None, false).await?.topics;
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    Ok(partitions.filter(|partition| *partition.leader_id == broker).count())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, ClusterCommand, Command};

    fn config(line: &str) -> (String, AlterableConfig) {
        let Command::Cluster(ClusterCommand::Drain(args)) =
            Cli::try_parse_from(line.split(' ')).unwrap().asked()
        else {
            panic!("{line}")
        };
        let mut resource = request(&args).resources.remove(0);
        (resource.resource_name.to_string(), resource.configs.remove(0))
    }

    #[test]
    fn a_drain_is_a_setting_of_the_broker_and_undone_by_taking_that_away() {
        let (broker, set) = config("odradek cluster drain 3");
        assert_eq!((broker.as_str(), set.name.as_str()), ("3", SETTING));
        assert_eq!((set.config_operation, set.value.as_deref()), (SET, Some("true")));
        let (_, undone) = config("odradek cluster drain 3 --undo");
        assert_eq!((undone.config_operation, undone.value), (DELETE, None));
    }
}
