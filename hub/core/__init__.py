"""What every feature of the hub needs: database, SQL, principal, policy, audit, errors, live push."""
