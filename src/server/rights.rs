//! What the role of a session may do. One function for each thing that needs a right; each says
//! what is missing as PostgreSQL says it (42501).
