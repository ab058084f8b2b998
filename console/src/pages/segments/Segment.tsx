import { PageTitle } from "../../components/PageTitle";

/** One segment. */
export default function Segment({ segment }: { segment: string }) {
  return <PageTitle title={segment} />;
}
