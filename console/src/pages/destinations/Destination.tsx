import { PageTitle } from "../../components/PageTitle";

/** One destination. */
export default function Destination({ destination }: { destination: string }) {
  return <PageTitle title={destination} />;
}
