//! Sockets to listen on.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::address::{Address, Transport};
use super::pulse::Duplex;
use super::tls::Certificate;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Socket,
    pub(super) certificate: Option<Arc<Certificate>>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address as settings write it.
    pub address: String,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)
    }
}

impl ListenError {
    /// Whether this machine has no such address at all, as one without IPv6
    /// has no `[::1]`.
    pub fn is_absent(&self) -> bool {
        // EAFNOSUPPORT has no kind of its own in the standard library.
        self.error.kind() == io::ErrorKind::AddrNotAvailable
            || self.error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
    }
}

/// Opens the socket of an address. A Unix socket that nobody listens on any
/// more is replaced; it is made for its owner and group alone.
pub async fn bind(
    address: &Address,
    certificate: Option<&Arc<Certificate>>,
) -> Result<Listener, ListenError> {
    let fault = |error| ListenError {
        address: address.to_string(),
        error,
    };
    match address {
        Address::Unix(path) => Ok(Listener {
            socket: Socket::Unix(unix(path).await.map_err(fault)?, path.clone()),
            certificate: None,
        }),
        Address::Tcp {
            host,
            port,
            transport,
        } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let socket = TcpListener::bind((host, *port)).await.map_err(fault)?;
            let certificate = match transport {
                Transport::Plain => None,
                Transport::Any | Transport::Tls => certificate.cloned(),
            };
            Ok(Listener {
                socket: Socket::Tcp(socket),
                certificate,
            })
        }
    }
}

/// Opens a Unix socket, in place of one that nobody listens on any more.
///
/// # Errors
/// The system's, and that somebody listens there.
pub async fn unix(path: &Path) -> io::Result<UnixListener> {
    let stale = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if stale {
        match UnixStream::connect(path).await {
            Ok(_) => return Err(io::Error::from(io::ErrorKind::AddrInUse)),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}

impl Listener {
    /// The URL of the server behind this socket; none for a Unix socket.
    pub fn url(&self) -> Option<String> {
        let address = self.local_address()?;
        let scheme = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        Some(format!("{scheme}://{address}"))
    }

    /// The address and the port the system gave.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }
}

/// A connection that was accepted, and whose address is at its other end.
pub(super) struct Accepted {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) address: Option<IpAddr>,
}

impl Socket {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Socket::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok(tcp(stream, address))
            }
            Socket::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                Ok(Accepted {
                    stream: Box::new(stream),
                    address: None,
                })
            }
        }
    }
}

fn tcp(stream: TcpStream, address: SocketAddr) -> Accepted {
    // Without it small answers wait for the client's acknowledgement; a socket
    // that refuses is already closed, which the first read tells.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    Accepted {
        stream: Box::new(stream),
        address: Some(address.ip().to_canonical()),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = self {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}
