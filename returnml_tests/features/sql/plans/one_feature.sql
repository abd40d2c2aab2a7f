-- 1. pit_keys_customer_id
create or replace temp table pit_keys_customer_id as
select value, row_number() over () - 1 as code
from (select distinct "customer_id" as value from spine as r where "customer_id" is not null);

-- 2. pit_keys_article_id
create or replace temp table pit_keys_article_id as
select value, row_number() over () - 1 as code
from (select distinct "article_id" as value from spine as r where "article_id" is not null);

-- 3. pit_keys_size
create or replace temp table pit_keys_size as
select value, row_number() over () - 1 as code
from (select distinct "size" as value from spine as r where "size" is not null);

-- 4. pit_spine
create or replace temp table pit_spine as
select s.mid, s.t, s.xe, s.xd,
  s."moment_id",
  s."size",
  s."order_id",
  pit_keys_customer_id.code as "k_customer_id",
  pit_keys_article_id.code as "k_article_id",
  pit_keys_size.code as "k_size"
from (
  select row_number() over () - 1 as mid,
    epoch_us(requested_at) as t,
    least(epoch_us(requested_at), epoch_us(visible_until)) as xe,
    least(epoch_us(requested_at), epoch_us(derived_until)) as xd,
    "moment_id", "size", "order_id", "customer_id", "article_id"
  from spine as r) as s
left join pit_keys_customer_id on pit_keys_customer_id.value = s."customer_id"
left join pit_keys_article_id on pit_keys_article_id.value = s."article_id"
left join pit_keys_size on pit_keys_size.value = s."size";

-- 5. pit_events_orders
create or replace temp table pit_events_orders as
select epoch_us(e.known_at) as at_us, e.seq,
  pit_keys_customer_id.code as "k_customer_id",
  e."cents" as "v_cents",
  ('0x' || substr(md5(nullif(e."method", '')), 1, 15))::BIGINT as "v_method"
from core.orders as e
left join pit_keys_customer_id on pit_keys_customer_id.value = e."customer_id"
where e.known_day <= date '2025-03-02';

-- 6. pit_events_outcomes
create or replace temp table pit_events_outcomes as
select epoch_us(e.known_at) as at_us, e.seq,
  pit_keys_customer_id.code as "k_customer_id",
  pit_keys_article_id.code as "k_article_id",
  pit_keys_size.code as "k_size",
  e."returned" as "v_returned"
from core.outcomes as e
left join pit_keys_customer_id on pit_keys_customer_id.value = e."customer_id"
left join pit_keys_article_id on pit_keys_article_id.value = e."article_id"
left join pit_keys_size on pit_keys_size.value = e."size"
where e.known_day <= date '2025-03-01';

-- 7. pit_edges_customer_all_day
create or replace temp table pit_edges_customer_all_day as
with events as (
  select *, false as is_probe from (
    select ("k_customer_id" * 65536 + (at_us // 86400000000)) as kd,
      1::HUGEINT + coalesce(("v_cents")::HUGEINT, 0) * 8::HUGEINT as p0,
      0::HUGEINT as p1,
      at_us as last_orders
    from pit_events_orders where "k_customer_id" is not null)
  union all
  select *, false as is_probe from (
    select ("k_customer_id" * 65536 + (at_us // 86400000000)) as kd,
      0::HUGEINT as p0,
      coalesce(("v_returned")::HUGEINT, 0) as p1,
      null::BIGINT as last_orders
    from pit_events_outcomes where "k_customer_id" is not null)
  union all
  select ("k_customer_id" * 65536 + (t // 86400000000)), 0::HUGEINT, 0::HUGEINT, null::BIGINT, true from pit_spine where "k_customer_id" is not null),
tiles as (
  select kd,
    sum(p0) as p0,
    sum(p1) as p1,
    max(last_orders) as last_orders,
    bool_or(is_probe) as is_probe
  from events group by kd),
running as (
  select kd,
    is_probe,
    p0 as own_p0, sum(p0) over so_far as p0,
    p1 as own_p1, sum(p1) over so_far as p1,
    max(last_orders) over before as last_orders
  from tiles
  window so_far as (partition by (kd >> 16) order by kd rows unbounded preceding),
    before as (partition by (kd >> 16) order by kd rows between unbounded preceding and 1 preceding)),
edges as (
  select kd,
    is_probe,
    p0 - own_p0 as near_p0,
    p1 - own_p1 as near_p1,
    last_orders,
    coalesce(last_value(p0) over before_7d, 0) as p0_7d
  from running
  window before_7d as (partition by (kd >> 16) order by kd range between unbounded preceding and 8 preceding))
select kd, near_p0, near_p1, last_orders, p0_7d from edges where is_probe;

-- 8. pit_head_customer_all_day
create or replace temp table pit_head_customer_all_day as
with timeline as (
  select * from (
    select ("k_customer_id" * 65536 + (at_us // 86400000000)) as kd,
      at_us * 2 + 1 as o,
      null::BIGINT as mid,
      1::HUGEINT + coalesce(("v_cents")::HUGEINT, 0) * 8::HUGEINT as p0,
      0::HUGEINT as p1,
      at_us as last_orders
    from pit_events_orders where "k_customer_id" is not null) where kd in (select kd from pit_edges_customer_all_day)
  union all
  select * from (
    select ("k_customer_id" * 65536 + (at_us // 86400000000)) as kd,
      at_us * 2 + 1 as o,
      null::BIGINT as mid,
      0::HUGEINT as p0,
      coalesce(("v_returned")::HUGEINT, 0) as p1,
      null::BIGINT as last_orders
    from pit_events_outcomes where "k_customer_id" is not null) where kd in (select kd from pit_edges_customer_all_day)
  union all
  select ("k_customer_id" * 65536 + (xe // 86400000000)), xe * 2, mid, 0::HUGEINT, 0::HUGEINT, null::BIGINT from pit_spine where "k_customer_id" is not null),
running as (
  select kd, mid, sum(p0) over so_far as p0, sum(p1) over so_far as p1, max(last_orders) over so_far as last_orders
  from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null;

-- 9. pit_windows_customer_all_day
create or replace temp table pit_windows_customer_all_day as
select h.mid,
  h.p0 + n.near_p0 - n.p0_7d as p0_7d,
  h.p1 + n.near_p1 as p1_lifetime,
  coalesce(h.last_orders, n.last_orders) as last_orders
from pit_head_customer_all_day as h
join pit_edges_customer_all_day as n on n.kd = h.kd;

-- 10. pit_edges_customer_all_day
drop table if exists pit_edges_customer_all_day;

-- 11. pit_head_customer_all_day
drop table if exists pit_head_customer_all_day;

-- 12. pit_events_orders
drop table if exists pit_events_orders;

-- 13. pit_events_outcomes
drop table if exists pit_events_outcomes;

-- values
select s.moment_id,
  (((pit_windows_customer_all_day.p0_7d + 131072::HUGEINT) >> 3)::BIGINT - 16384) as "customer_orders_cents_sum_7d"
from (select * from pit_spine where true) as s
left join (select * from pit_windows_customer_all_day where true) as pit_windows_customer_all_day on pit_windows_customer_all_day.mid = s.mid;

drop table if exists pit_keys_customer_id;
drop table if exists pit_keys_article_id;
drop table if exists pit_keys_size;
drop table if exists pit_spine;
drop table if exists pit_windows_customer_all_day;
