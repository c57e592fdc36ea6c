-- name: purge_tokens
delete from enrolment_token where expires_at < now() - make_interval(days => %(days)s)
