import { sql } from 'kysely'
import type { Kysely, Migration } from 'kysely'
import { newId } from '../../../contract/ids.ts'

/**
 * Instants have millisecond precision, as JavaScript's Date: a list's cursor must compare equal to what was stored.
 * Usage and audit name teams, agents and sandboxes without a foreign key, because they outlive them.
 */
const people = sql`
  create table users (
    id text primary key,
    email text not null unique,
    email_verified boolean not null default false,
    name text not null,
    image text,
    role text not null default 'user' check (role in ('user', 'operator')),
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now()
  );
  create index users_list on users (created_at desc, id desc);

  create table sessions (
    id text primary key,
    user_id text not null references users on delete cascade,
    token text not null unique,
    expires_at timestamptz(3) not null,
    ip_address text,
    user_agent text,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now()
  );
  create index sessions_user on sessions (user_id);

  create table accounts (
    id text primary key,
    user_id text not null references users on delete cascade,
    account_id text not null,
    provider_id text not null,
    access_token text,
    refresh_token text,
    id_token text,
    access_token_expires_at timestamptz(3),
    refresh_token_expires_at timestamptz(3),
    scope text,
    password text,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now(),
    unique (provider_id, account_id)
  );
  create index accounts_user on accounts (user_id);

  create table verifications (
    id text primary key,
    identifier text not null,
    value text not null,
    expires_at timestamptz(3) not null,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now()
  );
  create index verifications_identifier on verifications (identifier);

  create table teams (
    id text primary key,
    name text not null,
    personal_user_id text unique references users on delete cascade,
    created_at timestamptz(3) not null default now()
  );

  create table members (
    team_id text not null references teams on delete cascade,
    user_id text not null references users on delete cascade,
    role text not null check (role in ('owner', 'admin', 'member')),
    created_at timestamptz(3) not null default now(),
    primary key (team_id, user_id)
  );
  create index members_user on members (user_id);

  create table api_keys (
    id text primary key,
    team_id text not null,
    user_id text not null,
    name text not null,
    start text not null,
    hash text not null unique,
    service boolean not null default false,
    created_at timestamptz(3) not null default now(),
    last_used_at timestamptz(3),
    expires_at timestamptz(3),
    -- A key ends with the membership of the person who made it.
    foreign key (team_id, user_id) references members on delete cascade
  );
  create index api_keys_list on api_keys (team_id, created_at desc, id desc);

  create table ssh_keys (
    id text primary key,
    user_id text not null references users on delete cascade,
    name text not null,
    type text not null,
    fingerprint text not null,
    created_at timestamptz(3) not null default now(),
    last_used_at timestamptz(3),
    -- Not unique alone: public keys are public, and nobody may claim another's by registering it first.
    unique (user_id, fingerprint)
  );
  create index ssh_keys_list on ssh_keys (user_id, created_at desc, id desc);
  create index ssh_keys_fingerprint on ssh_keys (fingerprint);

  create table sign_in_links (
    token_hash text primary key,
    user_id text not null references users on delete cascade,
    created_at timestamptz(3) not null default now(),
    expires_at timestamptz(3) not null,
    used_at timestamptz(3)
  );

  create table settings (
    singleton boolean primary key default true check (singleton),
    value jsonb not null,
    updated_at timestamptz(3) not null default now()
  );

  create table idempotency_keys (
    caller text not null,
    key text not null,
    request_hash text not null,
    status integer,
    reply jsonb,
    created_at timestamptz(3) not null default now(),
    primary key (caller, key)
  );
  create index idempotency_keys_age on idempotency_keys (created_at);`

const fleet = sql`
  create table hosts (
    id text primary key,
    name text not null unique,
    version text not null,
    drivers jsonb not null,
    capacity jsonb not null,
    registries jsonb not null default '[]',
    last_seen_at timestamptz(3) not null default now(),
    created_at timestamptz(3) not null default now()
  );

  create table templates (
    name text primary key,
    description text not null,
    key text not null,
    wanted boolean not null default false,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now()
  );

  create table template_builds (
    id text primary key,
    host_id text not null references hosts on delete cascade,
    key text not null,
    name text not null,
    state text not null check (state in ('absent', 'building', 'ready', 'failed')),
    reason text,
    progress jsonb,
    size_bytes bigint,
    attempt integer not null default 1,
    built_at timestamptz(3),
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now(),
    unique (host_id, key)
  );

  create table agents (
    id text primary key,
    team_id text not null references teams on delete cascade,
    created_by text references users on delete set null,
    name text not null,
    runtime text not null,
    personality jsonb not null,
    model jsonb not null,
    size jsonb not null,
    files jsonb not null default '{}',
    volume_id text,
    volume_host_id text references hosts on delete set null,
    proxy_token_hash text,
    proxy_token_at timestamptz(3),
    check ((proxy_token_hash is null) = (proxy_token_at is null)),
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now(),
    deleted_at timestamptz(3)
  );
  create index agents_list on agents (team_id, created_at desc, id desc) where deleted_at is null;
  create unique index agents_name on agents (team_id, lower(name)) where deleted_at is null;

  create table sandboxes (
    id text primary key,
    team_id text not null references teams on delete cascade,
    agent_id text references agents on delete set null,
    template text not null,
    template_key text,
    isolation text not null,
    size jsonb not null,
    env jsonb not null default '{}',
    metadata jsonb not null default '{}',
    desired text not null check (desired in ('running', 'paused', 'stopped', 'destroyed')),
    state text not null
      check (state in ('creating', 'running', 'paused', 'stopped', 'error', 'missing', 'destroyed')),
    step text check (step in ('placing', 'template', 'creating', 'booting', 'waiting')),
    reason text,
    since timestamptz(3) not null default now(),
    host_id text references hosts,
    generation integer not null default 1,
    observed_generation integer not null default 0,
    ready boolean not null default false,
    restarts integer not null default 0,
    timings jsonb not null default '{}',
    requested_at timestamptz(3) not null default now(),
    volumes jsonb not null default '[]',
    delete_volumes jsonb not null default '[]',
    replace boolean not null default false,
    stopped_by text check (stopped_by in ('user', 'budget')),
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now(),
    expires_at timestamptz(3),
    destroyed_at timestamptz(3)
  );
  create index sandboxes_list on sandboxes (team_id, created_at desc, id desc) where state <> 'destroyed';
  -- An agent owns at most one living sandbox.
  create unique index sandboxes_agent on sandboxes (agent_id) where state <> 'destroyed';
  create index sandboxes_host on sandboxes (host_id) where state <> 'destroyed';
  create index sandboxes_expiry on sandboxes (expires_at) where state <> 'destroyed' and expires_at is not null;

  create table grants (
    id text primary key,
    team_id text not null,
    user_id text not null,
    session_id text references sessions on delete cascade,
    key_id text references api_keys on delete cascade,
    ssh_key_id text references ssh_keys on delete cascade,
    agent_id text,
    sandbox_id text not null references sandboxes on delete cascade,
    created_at timestamptz(3) not null default now(),
    foreign key (team_id, user_id) references members on delete cascade
  );
  create index grants_session on grants (session_id);
  create index grants_key on grants (key_id);
  create index grants_ssh_key on grants (ssh_key_id);
  create index grants_member on grants (team_id, user_id);
  create index grants_sandbox on grants (sandbox_id);`

const egress = sql`
  create table egress_rules (
    id text primary key,
    scope text not null check (scope in ('global', 'team', 'agent', 'sandbox')),
    team_id text references teams on delete cascade,
    agent_id text references agents on delete cascade,
    sandbox_id text references sandboxes on delete cascade,
    host text not null,
    port integer check (port between 1 and 65535),
    note text not null default '',
    created_by text references users on delete set null,
    created_at timestamptz(3) not null default now(),
    check ((scope = 'global') = (team_id is null)),
    check ((scope = 'agent') = (agent_id is not null)),
    check ((scope = 'sandbox') = (sandbox_id is not null)),
    unique nulls not distinct (scope, team_id, agent_id, sandbox_id, host, port)
  );
  create index egress_rules_list on egress_rules (team_id, created_at desc, id desc);
  create index egress_rules_agent on egress_rules (agent_id);
  create index egress_rules_sandbox on egress_rules (sandbox_id);

  create table secrets (
    id text primary key,
    team_id text not null references teams on delete cascade,
    name text not null,
    hosts jsonb not null,
    header text not null,
    format text not null,
    placeholder text not null,
    key_id text not null,
    wrapped_key text not null,
    iv text not null,
    data text not null,
    created_by text references users on delete set null,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now(),
    unique (team_id, name)
  );
  create index secrets_list on secrets (team_id, created_at desc, id desc);

  create table events (
    id text primary key,
    team_id text not null references teams on delete cascade,
    agent_id text,
    sandbox_id text,
    kind text not null,
    message text not null,
    state text,
    at timestamptz(3) not null default now()
  );
  create index events_agent on events (agent_id, at desc, id desc);
  create index events_team on events (team_id, at desc, id desc);

  create table audit (
    id text primary key,
    at timestamptz(3) not null,
    team_id text,
    source text not null check (source in ('egress', 'gateway', 'control')),
    kind text not null check (kind in ('http', 'tunnel', 'dns', 'rpc', 'admin')),
    decision text not null check (decision in ('allow', 'deny')),
    reason text,
    rule text,
    agent_id text,
    sandbox_id text,
    user_id text,
    actor text,
    method text,
    host text,
    port integer,
    path text,
    status integer,
    bytes_out bigint not null,
    bytes_in bigint not null,
    duration_ms double precision not null,
    detail jsonb not null default '{}'
  );
  create index audit_team on audit (team_id, at desc, id desc);
  create index audit_agent on audit (agent_id, at desc, id desc);
  create index audit_sandbox on audit (sandbox_id, at desc, id desc);
  create index audit_time on audit (at desc, id desc);`

const money = sql`
  create table plans (
    id text primary key,
    name text not null unique,
    bandwidth_gib double precision not null check (bandwidth_gib >= 0),
    overage_cents_per_gib integer not null check (overage_cents_per_gib >= 0),
    max_agents integer not null check (max_agents > 0),
    is_default boolean not null default false,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now()
  );
  create unique index plans_default on plans (is_default) where is_default;
  create index plans_list on plans (created_at desc, id desc);

  create table subscriptions (
    team_id text primary key references teams on delete cascade,
    plan_id text references plans,
    budget_cents integer not null default 0 check (budget_cents >= 0),
    updated_at timestamptz(3) not null default now()
  );

  create table usage_counters (
    source text not null,
    sandbox_id text not null,
    meter text not null,
    epoch text not null,
    total bigint not null check (total >= 0),
    updated_at timestamptz(3) not null default now(),
    primary key (source, sandbox_id, meter, epoch)
  );

  create table usage_days (
    day date not null,
    team_id text not null,
    agent_id text,
    sandbox_id text not null,
    meter text not null,
    total bigint not null check (total >= 0),
    primary key (day, sandbox_id, meter)
  );
  create index usage_days_team on usage_days (team_id, day);
  create index usage_days_agent on usage_days (agent_id, day);`

export const init: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const part of [people, fleet, egress, money]) await part.execute(db)
    await sql`
      insert into plans (id, name, bandwidth_gib, overage_cents_per_gib, max_agents, is_default)
      values (${newId('plan')}, 'Standard', 100, 10, 100, true)`.execute(db)
    await sql`
      insert into settings (value)
      values (${JSON.stringify({ signUp: false, allowedRanges: [], extraRoots: '' })}::jsonb)`.execute(db)
  },
}
