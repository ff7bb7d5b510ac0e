//! One error for all that can go wrong: a word for programs and a sentence for people.

use ldk_node::{BuildError, NodeError};
use std::any::Any;
use std::fmt;

/// What the calls of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: `code` is one snake case word, `message` a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// One word for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
}

impl Error {
    /// An error with its word and its sentence.
    pub fn new(code: &'static str, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// Input that is no valid value for `what`.
    pub fn invalid(what: &str, why: impl fmt::Display) -> Self {
        Self::new("invalid", format!("{what}: {why}"))
    }

    /// A panic that was caught on its way to a caller of another language.
    pub fn panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self::new("panic", text.unwrap_or_else(|| "the Lightning library panicked".into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<NodeError> for Error {
    fn from(error: NodeError) -> Self {
        use NodeError as E;
        let code = match error {
            E::AlreadyRunning => "already_running",
            E::NotRunning => "not_running",
            E::ConnectionFailed => "connection_failed",
            E::DuplicatePayment => "duplicate_payment",
            E::PaymentSendingFailed => "payment_sending_failed",
            E::InsufficientFunds => "insufficient_funds",
            E::InvoiceCreationFailed => "invoice_creation_failed",
            E::ChannelCreationFailed => "channel_creation_failed",
            E::ChannelClosingFailed => "channel_closing_failed",
            E::ChannelConfigUpdateFailed => "channel_update_failed",
            E::PersistenceFailed => "storage",
            E::InvalidPaymentHash => "unknown_payment",
            E::OnchainTxCreationFailed | E::OnchainTxSigningFailed | E::WalletOperationFailed => "onchain_failed",
            E::FeerateEstimationUpdateFailed
            | E::FeerateEstimationUpdateTimeout
            | E::TxSyncFailed
            | E::TxSyncTimeout
            | E::WalletOperationTimeout => "chain_source",
            E::LiquiditySourceUnavailable | E::LiquidityRequestFailed => "liquidity",
            E::LiquidityFeeTooHigh => "liquidity_fee",
            E::InvalidInvoice
            | E::InvalidAmount
            | E::InvalidAddress
            | E::InvalidSocketAddress
            | E::InvalidPublicKey
            | E::InvalidNodeId
            | E::InvalidNetwork
            | E::InvalidChannelId
            | E::InvalidFeeRate
            | E::InvalidPaymentPreimage
            | E::InvalidPaymentSecret
            | E::InvalidNodeAlias => "invalid",
            _ => "failed",
        };
        Self::new(code, error)
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        let code = match error {
            BuildError::ReadFailed | BuildError::WriteFailed | BuildError::KVStoreSetupFailed => "storage",
            BuildError::NetworkMismatch => "wrong_network",
            BuildError::WalletSetupFailed => "wrong_seed",
            BuildError::InvalidChannelMonitor => "stale_store",
            _ => "invalid",
        };
        Self::new(code, error)
    }
}
