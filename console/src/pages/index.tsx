import { lazy, Suspense } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { PageTitle } from "../components/PageTitle";
import { Empty, Loading } from "../components/states";
import { useI18n } from "../i18n";
import { homeOf, mayOpen } from "../shell/access";
import { useSession } from "../shell/session";

// Each page is a chunk of its own: the first visit loads one of them.
const Home = lazy(() => import("./home/Home"));
const Live = lazy(() => import("./live/Live"));
const Quarantine = lazy(() => import("./quarantine/Quarantine"));
const People = lazy(() => import("./person/People"));
const Person = lazy(() => import("./person/Person"));
const Segments = lazy(() => import("./segments/Segments"));
const Segment = lazy(() => import("./segments/Segment"));
const Destinations = lazy(() => import("./destinations/Destinations"));
const Privacy = lazy(() => import("./privacy/Privacy"));
const Health = lazy(() => import("./health/Health"));
const Deliveries = lazy(() => import("./deliveries/Deliveries"));
const Delivery = lazy(() => import("./deliveries/Delivery"));
const Connectors = lazy(() => import("./connectors/Connectors"));
const Connector = lazy(() => import("./connectors/Connector"));
const SetUp = lazy(() => import("./connectors/SetUp"));
const Activate = lazy(() => import("./activations/Activate"));
const Destination = lazy(() => import("./destinations/Destination"));

/** A part of the address as it was before it was escaped; one that was cut in the middle of an escape stays as it is. */
function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Which page stands at which address. */
export function Pages() {
  const [path] = useLocation();
  const { role } = useSession();
  if (!mayOpen(role, path)) return path === "/" ? <Redirect to={homeOf(role)} replace /> : <NotYours role={role} />;
  return (
    <Suspense fallback={<Loading />}>
      <Switch>
        <Route path="/" component={Home} />
        <Route path="/live" component={Live} />
        <Route path="/quarantine" component={Quarantine} />
        <Route path="/people" component={People} />
        <Route path="/people/:id">{({ id }) => <Person id={plain(id)} />}</Route>
        <Route path="/segments" component={Segments} />
        <Route path="/segments/:key">{({ key }) => <Segment segment={plain(key)} />}</Route>
        <Route path="/destinations" component={Destinations} />
        <Route path="/destinations/:key">{({ key }) => <Destination destination={plain(key)} />}</Route>
        <Route path="/deliveries" component={Deliveries} />
        <Route path="/deliveries/:id">{({ id }) => <Delivery id={plain(id)} />}</Route>
        <Route path="/connectors" component={Connectors} />
        <Route path="/connectors/:key">{({ key }) => <Connector connector={plain(key)} />}</Route>
        <Route path="/connectors/:key/set-up">{({ key }) => <SetUp connector={plain(key)} />}</Route>
        <Route path="/activations/:key">{({ key }) => <Activate activation={plain(key)} />}</Route>
        <Route path="/privacy" component={Privacy} />
        <Route path="/privacy/:part">{({ part }) => (["tools", "retention", "requests", "proof", "reductions", "policies"].includes(part) ? <Privacy /> : <Missing />)}</Route>
        <Route path="/health" component={Health} />
        <Route component={Missing} />
      </Switch>
    </Suspense>
  );
}

/** The page is there, and not for this role; what it would ask the server for is refused there as well. */
function NotYours({ role }: { role: Parameters<typeof homeOf>[0] }) {
  const { t } = useI18n();
  return (
    <>
      <PageTitle title={t("app.not_yours")} />
      <Empty title={t("app.not_yours")} hint={t("app.not_yours_hint", { role })}>
        <Link href={homeOf(role)}>{t("app.go_home")}</Link>
      </Empty>
    </>
  );
}

function Missing() {
  const { t } = useI18n();
  return (
    <>
      <PageTitle title={t("app.not_found")} />
      <Empty title={t("app.not_found")} hint={t("app.not_found_hint")}>
        <Link href="/">{t("app.go_home")}</Link>
      </Empty>
    </>
  );
}
