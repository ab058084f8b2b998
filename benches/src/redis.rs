//! The yardstick of profile reads: the same bytes in Redis, where it is installed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::redis::AsyncCommands;
use ::redis::aio::MultiplexedConnection;
use anyhow::{Result, bail};

use crate::server::{self, ADMIN_TOKEN, Target};
use crate::wire::{self, Connection};

/// From start to the first answer, at most.
const START_WAIT_MAX: Duration = Duration::from_secs(10);

/// A `redis-server` of its own, which keeps nothing on the disk. Ended by its own id when it is dropped.
pub struct Redis {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both calls fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that all requests share; the client sends what comes together in one go.
pub async fn connect(address: SocketAddr) -> Result<MultiplexedConnection> {
    Ok(::redis::Client::open(format!("redis://{address}"))?.get_multiplexed_async_connection().await?)
}

impl Redis {
    /// Starts one; `None` where it is not installed.
    pub async fn start(directory: &Path) -> Result<Option<Redis>> {
        let address = server::free_address()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &address.port().to_string(), "--bind", &Ipv4Addr::LOCALHOST.to_string(), "--save", "", "--dir"]);
        command.arg(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let redis = Redis { child, address };
        let deadline = Instant::now() + START_WAIT_MAX;
        while connect(address).await.is_err() {
            if Instant::now() > deadline {
                bail!("redis-server does not answer");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(redis))
    }

    /// Copies the profiles of these visitors from the server, under the names that reads use.
    pub async fn fill(&self, target: Target, visitors: &[[u8; 36]]) -> Result<()> {
        let (mut redis, mut server) = (connect(self.address).await?, Connection::open(target.address).await?);
        for visitor in visitors {
            let name = format!("anonymous_id:{}", String::from_utf8_lossy(visitor));
            let answer = server.exchange(&wire::get(&format!("/v1/profiles/{name}"), Some(ADMIN_TOKEN))).await?;
            if answer.status()? == 200 {
                let () = redis.set(name, answer.body).await?;
            }
        }
        Ok(())
    }
}
