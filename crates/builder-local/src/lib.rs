//! wharf-builder-local
