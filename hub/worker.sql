-- name: purge_tokens
delete from enrolment_token where expires_at < now() - %(kept)s::interval

-- name: purge_invitations
delete from account_invitation where expires_at < now() - %(kept)s::interval

-- name: purge_sessions
delete from account_session where least(ended_at, ends_at) < now() - %(kept)s::interval

-- name: purge_steps
delete from sign_in_step where expires_at < now() - %(kept)s::interval

-- name: purge_failures
delete from sign_in_failure where failed_at < now() - %(kept)s::interval and blocked_until < now()

-- name: purge_operation_process
delete from operation_process where minute < now() - %(kept)s::interval

-- name: purge_operation_function
delete from operation_function where minute < now() - %(kept)s::interval

-- name: purge_traces
delete from trace where ends_at < now() - %(kept)s::interval
