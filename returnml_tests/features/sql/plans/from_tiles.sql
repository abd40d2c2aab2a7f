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
where e.known_day >= date '2025-02-28' and e.known_day <= date '2025-03-02';

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
where e.known_day >= date '2025-02-28' and e.known_day <= date '2025-03-01';

-- 7. pit_tiles_customer
create or replace temp table pit_tiles_customer as
select ("k_customer_id" * 65536 + (day - date '1970-01-01')) as kd, "orders_count", "orders_cents_sum", "outcomes_returned_sum", epoch_us(orders_last_known_at) as last_orders
from (select t.*, pit_keys_customer_id.code as "k_customer_id" from (select * from features.tiles_customer where day >= date '2025-02-20' and day < date '2025-03-02') as t
join pit_keys_customer_id on pit_keys_customer_id.value = t."customer_id");

-- 8. pit_edges_customer_events_day
create or replace temp table pit_edges_customer_events_day as
with probes as (
  select distinct ("k_customer_id" * 65536 + (t // 86400000000)) as kd from pit_spine where "k_customer_id" is not null),
timeline as (
  select kd,
    "orders_count"::HUGEINT + "orders_cents_sum"::HUGEINT * 64::HUGEINT as p0,
    last_orders,
    false as is_probe
  from pit_tiles_customer
  union all
  select kd, null::HUGEINT, null::BIGINT, true from probes),
edges as (
  select kd,
    is_probe,
    coalesce(last_value(p0 ignore nulls) over before, 0) as near_p0,
    last_value(last_orders ignore nulls) over before as last_orders,
    coalesce(last_value(p0 ignore nulls) over before_7d, 0) as p0_7d
  from timeline
  window before as (partition by (kd >> 16) order by kd range between unbounded preceding and 1 preceding),
    before_7d as (partition by (kd >> 16) order by kd range between unbounded preceding and 8 preceding))
select kd, near_p0, last_orders, p0_7d from edges where is_probe;

-- 9. pit_head_customer_events_day
create or replace temp table pit_head_customer_events_day as
with timeline as (
  select * from (
    select ("k_customer_id" * 65536 + (at_us // 86400000000)) as kd,
      at_us * 2 + 1 as o,
      null::BIGINT as mid,
      1::HUGEINT + coalesce(("v_cents")::HUGEINT, 0) * 64::HUGEINT as p0,
      at_us as last_orders
    from pit_events_orders where "k_customer_id" is not null) where kd in (select kd from pit_edges_customer_events_day)
  union all
  select ("k_customer_id" * 65536 + (xe // 86400000000)), xe * 2, mid, 0::HUGEINT, null::BIGINT from pit_spine where "k_customer_id" is not null),
running as (
  select kd, mid, sum(p0) over so_far as p0, max(last_orders) over so_far as last_orders
  from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null;

-- 10. pit_windows_customer_events_day
create or replace temp table pit_windows_customer_events_day as
select h.mid,
  h.p0 + n.near_p0 - n.p0_7d as p0_7d,
  coalesce(h.last_orders, n.last_orders) as last_orders
from pit_head_customer_events_day as h
join pit_edges_customer_events_day as n on n.kd = h.kd;

-- 11. pit_edges_customer_events_day
drop table if exists pit_edges_customer_events_day;

-- 12. pit_head_customer_events_day
drop table if exists pit_head_customer_events_day;

-- 13. pit_edges_customer_events_slot
create or replace temp table pit_edges_customer_events_slot as
with events as (
  select *, false as is_probe from (
    select ("k_customer_id" * 33554432 + (at_us // 300000000)) as kd,
      1::HUGEINT as p0
    from pit_events_orders where "k_customer_id" is not null)
  union all
  select ("k_customer_id" * 33554432 + (t // 300000000)), 0::HUGEINT, true from pit_spine where "k_customer_id" is not null
  union all
  select ("k_customer_id" * 33554432 + (xe // 300000000)), 0::HUGEINT, true from pit_spine where "k_customer_id" is not null),
tiles as (
  select kd,
    sum(p0) as p0,
    bool_or(is_probe) as is_probe
  from events group by kd),
running as (
  select kd,
    is_probe,
    p0 as own_p0, sum(p0) over so_far as p0
  from tiles
  window so_far as (partition by (kd >> 25) order by kd rows unbounded preceding),
    before as (partition by (kd >> 25) order by kd rows between unbounded preceding and 1 preceding)),
edges as (
  select kd,
    is_probe,
    p0 - own_p0 as near_p0,
    coalesce(last_value(p0) over before_1h, 0) as p0_1h
  from running
  window before_1h as (partition by (kd >> 25) order by kd range between unbounded preceding and 13 preceding))
select kd, near_p0, p0_1h from edges where is_probe;

-- 14. pit_head_customer_events_slot
create or replace temp table pit_head_customer_events_slot as
with timeline as (
  select * from (
    select ("k_customer_id" * 33554432 + (at_us // 300000000)) as kd,
      at_us * 2 + 1 as o,
      null::BIGINT as mid,
      1::HUGEINT as p0
    from pit_events_orders where "k_customer_id" is not null) where kd in (select kd from pit_edges_customer_events_slot)
  union all
  select ("k_customer_id" * 33554432 + (xe // 300000000)), xe * 2, mid, 0::HUGEINT from pit_spine where "k_customer_id" is not null),
running as (
  select kd, mid, sum(p0) over so_far as p0
  from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null;

-- 15. pit_windows_customer_events_slot
create or replace temp table pit_windows_customer_events_slot as
select h.mid,
  case when s.xe <= (s.t // 300000000) * 300000000 - 3600000000 then 0 else h.p0 + n.near_p0 - f.p0_1h end as p0_1h
from pit_head_customer_events_slot as h
join pit_edges_customer_events_slot as n on n.kd = h.kd
join pit_spine as s on s.mid = h.mid
join pit_edges_customer_events_slot as f on f.kd = ((h.kd >> 25) * 33554432 + (s.t // 300000000));

-- 16. pit_edges_customer_events_slot
drop table if exists pit_edges_customer_events_slot;

-- 17. pit_head_customer_events_slot
drop table if exists pit_head_customer_events_slot;

-- 18. pit_mergeable_customer_orders
create or replace temp table pit_mergeable_customer_orders as
with probes as materialized (select distinct "k_customer_id" as k from pit_spine where "k_customer_id" is not null),
timeline as (
  select "k_customer_id" as k, at_us, seq, null::BIGINT as mid, "v_method", 0::BIGINT as reach_1h
  from pit_events_orders where "k_customer_id" in (select k from probes)
  union all
  select "k_customer_id", xe, null::BIGINT, mid, null::BIGINT, greatest(xe - ((t // 300000000) * 300000000 - 3600000000), 0)
  from pit_spine where "k_customer_id" is not null),
valued as (
  select mid,
    count(distinct "v_method") over w_1h as "method_distinct_1h"
  from timeline
  window w_1h as (partition by k order by at_us range between reach_1h preceding and 1 preceding))
select * from valued where mid is not null;

-- 19. pit_edges_customer_derived_day
create or replace temp table pit_edges_customer_derived_day as
with probes as (
  select distinct ("k_customer_id" * 65536 + (t // 86400000000)) as kd from pit_spine where "k_customer_id" is not null union select distinct ("k_customer_id" * 65536 + (xd // 86400000000)) as kd from pit_spine where "k_customer_id" is not null),
timeline as (
  select kd,
    "outcomes_returned_sum"::HUGEINT as p0,
    false as is_probe
  from pit_tiles_customer
  union all
  select kd, null::HUGEINT, true from probes),
edges as (
  select kd,
    is_probe,
    coalesce(last_value(p0 ignore nulls) over before, 0) as near_p0
  from timeline
  window before as (partition by (kd >> 16) order by kd range between unbounded preceding and 1 preceding))
select kd, near_p0 from edges where is_probe;

-- 20. pit_head_customer_derived_day
create or replace temp table pit_head_customer_derived_day as
with timeline as (
  select * from (
    select ("k_customer_id" * 65536 + (at_us // 86400000000)) as kd,
      at_us * 2 + 1 as o,
      null::BIGINT as mid,
      coalesce(("v_returned")::HUGEINT, 0) as p0
    from pit_events_outcomes where "k_customer_id" is not null) where kd in (select kd from pit_edges_customer_derived_day)
  union all
  select ("k_customer_id" * 65536 + (xd // 86400000000)), xd * 2, mid, 0::HUGEINT from pit_spine where "k_customer_id" is not null),
running as (
  select kd, mid, sum(p0) over so_far as p0
  from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null;

-- 21. pit_windows_customer_derived_day
create or replace temp table pit_windows_customer_derived_day as
select h.mid,
  h.p0 + n.near_p0 as p0_lifetime
from pit_head_customer_derived_day as h
join pit_edges_customer_derived_day as n on n.kd = h.kd
join pit_spine as s on s.mid = h.mid
join pit_edges_customer_derived_day as f on f.kd = ((h.kd >> 16) * 65536 + (s.t // 86400000000));

-- 22. pit_edges_customer_derived_day
drop table if exists pit_edges_customer_derived_day;

-- 23. pit_head_customer_derived_day
drop table if exists pit_head_customer_derived_day;

-- 24. pit_tiles_customer
drop table if exists pit_tiles_customer;

-- 25. pit_tiles_article_size
create or replace temp table pit_tiles_article_size as
select (("k_article_id" * 4 + "k_size") * 65536 + (day - date '1970-01-01')) as kd, "outcomes_count"
from (select t.*, pit_keys_article_id.code as "k_article_id", pit_keys_size.code as "k_size" from (select * from features.tiles_article_size where day >= date '2025-02-20' and day < date '2025-03-01') as t
join pit_keys_article_id on pit_keys_article_id.value = t."article_id"
join pit_keys_size on pit_keys_size.value = t."size")
where ("k_article_id" * 4 + "k_size") in (select ("k_article_id" * 4 + "k_size") from pit_spine);

-- 26. pit_edges_article_size_derived_day
create or replace temp table pit_edges_article_size_derived_day as
with probes as (
  select distinct (("k_article_id" * 4 + "k_size") * 65536 + (t // 86400000000)) as kd from pit_spine where ("k_article_id" * 4 + "k_size") is not null union select distinct (("k_article_id" * 4 + "k_size") * 65536 + (xd // 86400000000)) as kd from pit_spine where ("k_article_id" * 4 + "k_size") is not null),
timeline as (
  select kd,
    "outcomes_count"::HUGEINT as p0,
    false as is_probe
  from pit_tiles_article_size
  union all
  select kd, null::HUGEINT, true from probes),
edges as (
  select kd,
    is_probe,
    coalesce(last_value(p0 ignore nulls) over before, 0) as near_p0,
    coalesce(last_value(p0 ignore nulls) over before_7d, 0) as p0_7d
  from timeline
  window before as (partition by (kd >> 16) order by kd range between unbounded preceding and 1 preceding),
    before_7d as (partition by (kd >> 16) order by kd range between unbounded preceding and 8 preceding))
select kd, near_p0, p0_7d from edges where is_probe;

-- 27. pit_head_article_size_derived_day
create or replace temp table pit_head_article_size_derived_day as
with timeline as (
  select * from (
    select (("k_article_id" * 4 + "k_size") * 65536 + (at_us // 86400000000)) as kd,
      at_us * 2 + 1 as o,
      null::BIGINT as mid,
      1::HUGEINT as p0
    from pit_events_outcomes where ("k_article_id" * 4 + "k_size") is not null) where kd in (select kd from pit_edges_article_size_derived_day)
  union all
  select (("k_article_id" * 4 + "k_size") * 65536 + (xd // 86400000000)), xd * 2, mid, 0::HUGEINT from pit_spine where ("k_article_id" * 4 + "k_size") is not null),
running as (
  select kd, mid, sum(p0) over so_far as p0
  from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null;

-- 28. pit_windows_article_size_derived_day
create or replace temp table pit_windows_article_size_derived_day as
select h.mid,
  case when s.xd <= (s.t // 86400000000) * 86400000000 - 604800000000 then 0 else h.p0 + n.near_p0 - f.p0_7d end as p0_7d
from pit_head_article_size_derived_day as h
join pit_edges_article_size_derived_day as n on n.kd = h.kd
join pit_spine as s on s.mid = h.mid
join pit_edges_article_size_derived_day as f on f.kd = ((h.kd >> 16) * 65536 + (s.t // 86400000000));

-- 29. pit_edges_article_size_derived_day
drop table if exists pit_edges_article_size_derived_day;

-- 30. pit_head_article_size_derived_day
drop table if exists pit_head_article_size_derived_day;

-- 31. pit_tiles_article_size
drop table if exists pit_tiles_article_size;

-- 32. pit_events_orders
drop table if exists pit_events_orders;

-- 33. pit_events_outcomes
drop table if exists pit_events_outcomes;

-- 34. pit_basket
create or replace temp table pit_basket as
with baskets as (
  select order_id, t, count(*) as "basket_lines"
  from pit_spine where order_id is not null and t is not null group by order_id, t)
select s.mid, b."basket_lines"
from pit_spine as s join baskets as b using (order_id, t);

-- values
select s.moment_id,
  ((s.t % 86400000000) // 3600000000) as "hour",
  (case s."size" when 'XXXS' then 1 when 'XXS' then 2 when 'XS' then 3 when 'S' then 4 when 'M' then 5 when 'L' then 6 when 'XL' then 7 when 'XXL' then 8 when 'XXXL' then 9 when '4XL' then 10 when '5XL' then 11 when '3XS' then 1 when '2XS' then 2 when '2XL' then 8 when '3XL' then 9 when 'xxxs' then 1 when 'xxs' then 2 when 'xs' then 3 when 's' then 4 when 'm' then 5 when 'l' then 6 when 'xl' then 7 when 'xxl' then 8 when 'xxxl' then 9 when '4xl' then 10 when '5xl' then 11 when '3xs' then 1 when '2xs' then 2 when '2xl' then 8 when '3xl' then 9 end)::BIGINT as "size_rank",
  pit_basket."basket_lines" as "basket_lines",
  (pit_windows_customer_events_slot.p0_1h)::BIGINT as "customer_orders_count_1h",
  (((pit_windows_customer_events_day.p0_7d + 2097184::HUGEINT) & 63::HUGEINT)::BIGINT - 32) as "customer_orders_count_7d",
  (((pit_windows_customer_events_day.p0_7d + 2097184::HUGEINT) >> 6)::BIGINT - 32768) as "customer_orders_cents_sum_7d",
  pit_mergeable_customer_orders."method_distinct_1h" as "customer_orders_method_distinct_1h",
  s.t - pit_windows_customer_events_day.last_orders as "customer_orders_since_last_us",
  ((pit_windows_customer_derived_day.p0_lifetime + 8::HUGEINT)::BIGINT - 8) as "customer_outcomes_returned_sum_lifetime",
  ((pit_windows_article_size_derived_day.p0_7d + 16::HUGEINT)::BIGINT - 16) as "article_size_outcomes_count_7d"
from (select * from pit_spine where true) as s
left join (select * from pit_windows_customer_events_day where true) as pit_windows_customer_events_day on pit_windows_customer_events_day.mid = s.mid
left join (select * from pit_windows_customer_events_slot where true) as pit_windows_customer_events_slot on pit_windows_customer_events_slot.mid = s.mid
left join (select * from pit_mergeable_customer_orders where true) as pit_mergeable_customer_orders on pit_mergeable_customer_orders.mid = s.mid
left join (select * from pit_windows_customer_derived_day where true) as pit_windows_customer_derived_day on pit_windows_customer_derived_day.mid = s.mid
left join (select * from pit_windows_article_size_derived_day where true) as pit_windows_article_size_derived_day on pit_windows_article_size_derived_day.mid = s.mid
left join (select * from pit_basket where true) as pit_basket on pit_basket.mid = s.mid;

drop table if exists pit_keys_customer_id;
drop table if exists pit_keys_article_id;
drop table if exists pit_keys_size;
drop table if exists pit_spine;
drop table if exists pit_windows_customer_events_day;
drop table if exists pit_windows_customer_events_slot;
drop table if exists pit_mergeable_customer_orders;
drop table if exists pit_windows_customer_derived_day;
drop table if exists pit_windows_article_size_derived_day;
drop table if exists pit_basket;
