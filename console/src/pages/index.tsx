import { lazy, Suspense } from "react";
import { Link, Route, Switch } from "wouter";
import { PageTitle } from "../components/PageTitle";
import { Empty, Loading } from "../components/states";
import { useI18n } from "../i18n";

// Each page is a chunk of its own: the first visit loads one of them.
const Home = lazy(() => import("./home/Home"));
const Live = lazy(() => import("./live/Live"));
const Quarantine = lazy(() => import("./quarantine/Quarantine"));
const People = lazy(() => import("./person/People"));
const Person = lazy(() => import("./person/Person"));
const Segments = lazy(() => import("./segments/Segments"));
const Segment = lazy(() => import("./segments/Segment"));
const Destinations = lazy(() => import("./destinations/Destinations"));
const Health = lazy(() => import("./health/Health"));
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
        <Route path="/health" component={Health} />
        <Route component={Missing} />
      </Switch>
    </Suspense>
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
