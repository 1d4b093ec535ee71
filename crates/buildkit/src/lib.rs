//! wharf-buildkit
